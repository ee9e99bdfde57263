"""Reference outputs of transformers' CLIP in float64: `python3 clip.py` writes clip.json beside it."""

import sys

import torch
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPVisionConfig, CLIPVisionModelWithProjection

sys.path.insert(0, "../../../core/sdk/src/testkit")
from closed_form import closed_form, fill, numbers, write

SIZES = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "layer_norm_eps": 1e-5, "projection_dim": 6}
WORDS = {"vocab_size": 20, "max_position_embeddings": 8}
# Whole, padded with the end token and with 0, and cut; 19 is larger than the end token 17.
IDS = [[18, 4, 17, 17, 17, 17], [18, 5, 19, 17, 0, 0], [18, 7, 8, 9, 10, 17]]
MEAN, DEVIATION = [0.4, 0.5, 0.6], [0.2, 0.3, 0.25]

texts, images = [], []
for activation, end in [("quick_gelu", 2), ("gelu", 17)]:
    config = CLIPTextConfig(**SIZES, **WORDS, hidden_act=activation, eos_token_id=end, bos_token_id=18, pad_token_id=0)
    model = fill(CLIPTextModelWithProjection(config)).double()
    out = model(input_ids=torch.tensor(IDS), output_hidden_states=True)
    states = {"last": out.last_hidden_state} if end == 2 else {"next-to-last": out.hidden_states[-2]}
    outputs = {**states, "pooled": out.text_embeds}
    found = {name: numbers(f"text {activation} {name}", tensor) for name, tensor in outputs.items()}
    texts.append({"sizes": {**SIZES, **WORDS, "hidden_act": activation, "eos_token_id": end}, **found})

    config = CLIPVisionConfig(**SIZES, hidden_act=activation, image_size=8, patch_size=4, num_channels=3)
    model = fill(CLIPVisionModelWithProjection(config)).double()
    image = closed_form("image", (2, 3, 8, 8), 0.5, 0.5).double()
    shaped = [torch.tensor(values).double().view(3, 1, 1) for values in (MEAN, DEVIATION)]
    pixels = (image - shaped[0]) / shaped[1]
    out = model(pixel_values=pixels)
    outputs = {"tokens": out.last_hidden_state, "pooled": out.image_embeds} if end == 2 else {"pooled": out.image_embeds}
    found = {name: numbers(f"image {activation} {name}", tensor) for name, tensor in outputs.items()}
    images.append({"sizes": {**SIZES, "hidden_act": activation, "patch_size": 4, "image_mean": MEAN, "image_std": DEVIATION}, **found})
write("clip.json", {"ids": IDS, "texts": texts, "images": images})
