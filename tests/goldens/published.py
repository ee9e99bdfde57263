"""Whole pipelines of diffusers on tiny models with closed-form weights, and the folders that `save_pretrained` writes.

Run `python3 published.py` in this folder, with torch, diffusers, transformers and blake3 installed (written with diffusers
0.42 and transformers 5.24); it writes a JSON file for each folder beside it: configurations, a digest of the names and shapes
of its weights, and for some cases the latents and images. `python3 published.py FOLDER` also keeps the folders themselves,
with weights and tokenizers, below FOLDER.

Both sides read the same noise, that of the row in stream `image`. Posteriors of autoencoders are their means.
"""

import json
import os
import sys
import tempfile

import numpy
import torch
from blake3 import blake3
from PIL import Image
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_img2img

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../core/diffusion/tests/goldens"))
from make import normal_bits
from unet import digest, fill, parameter

IDS = ["a", "b", "c", "d", "e"]
CAPTIONS = ["red cat", "a dog", "blue bird", "two fish", "sun"]
UNWANTED = ["blurry", "", "dark", "low", "old"]
PIXELS, SIDE, LENGTH = 8, 4, 16
STEPS = 4
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def row_noise(name):
    row = int.from_bytes(blake3(name.encode()).digest()[:8], "little")
    bits = numpy.array(normal_bits(0, row, "image", 0, 4 * SIDE * SIDE), dtype=numpy.uint32)
    return torch.from_numpy(bits.view(numpy.float32).reshape(4, SIDE, SIDE))


NOISE = torch.stack([row_noise(name) for name in IDS])


def image(name):
    """A row's image: noise that both sides compute."""
    pixels = fill(f"image {name}", (PIXELS, PIXELS, 3), 127.5, 127.5).numpy().astype(numpy.uint8)
    return Image.fromarray(pixels)


def mask(row):
    """White where the image is painted: a rectangle that differs from row to row."""
    pixels = numpy.zeros((PIXELS, PIXELS), dtype=numpy.uint8)
    pixels[row : row + 4, 2:6] = 255
    return Image.fromarray(pixels)


def vocabulary():
    """That of CLIP without merges: a token for each byte, within and at the end of a word."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in plain] + [chr(256 + index) for index in range(256 - len(plain))]
    words = letters + [letter + "</w>" for letter in letters] + ["<|startoftext|>", "<|endoftext|>"]
    return {word: index for index, word in enumerate(words)}


def tokenizer(pad):
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/vocab.json", "w") as file:
            json.dump(vocabulary(), file)
        with open(f"{folder}/merges.txt", "w") as file:
            file.write("#version: 0.2\n")
        with open(f"{folder}/tokenizer_config.json", "w") as file:
            json.dump({"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "pad_token": pad}, file)
        made = CLIPTokenizer.from_pretrained(folder)
    ids = made("Sun", padding="max_length", max_length=LENGTH).input_ids
    wanted = [vocabulary()[word] for word in ["<|startoftext|>", "s", "u", "n</w>", "<|endoftext|>"]]
    assert ids == wanted + [vocabulary()[pad]] * (LENGTH - 5), ids
    return made


def filled(model):
    state = {}
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            value = parameter(name, tuple(tensor.shape))
            # So that images are neither black nor white.
            state[name] = value * 0.4 if name.startswith("decoder.conv_out") else value
        else:
            state[name] = tensor
    model.load_state_dict(state)
    return model.eval()


def unet(**changes):
    return filled(
        UNet2DConditionModel(
            **{
                "sample_size": SIDE,
                "block_out_channels": (8, 16),
                "layers_per_block": 1,
                "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
                "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
                "cross_attention_dim": 8,
                "attention_head_dim": 2,
                "norm_num_groups": 4,
                **changes,
            }
        )
    )


def autoencoder(**changes):
    return filled(
        AutoencoderKL(
            **{
                "block_out_channels": (8, 16),
                "down_block_types": ("DownEncoderBlock2D",) * 2,
                "up_block_types": ("UpDecoderBlock2D",) * 2,
                "layers_per_block": 1,
                "latent_channels": 4,
                "norm_num_groups": 4,
                "sample_size": PIXELS,
                **changes,
            }
        )
    )


def text(kind, **changes):
    words = vocabulary()
    config = CLIPTextConfig(
        **{
            "vocab_size": len(words),
            "hidden_size": 8,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": LENGTH,
            "projection_dim": 6,
            "bos_token_id": words["<|startoftext|>"],
            "eos_token_id": words["<|endoftext|>"],
            "pad_token_id": words["<|endoftext|>"],
            **changes,
        }
    )
    return filled(kind(config))


LAST, FIRST = "<|endoftext|>", "!"


def stable_diffusion(kind=StableDiffusionPipeline, scheduler=None, pad=LAST, encoder={}, **changes):
    return kind(
        vae=autoencoder(),
        text_encoder=text(CLIPTextModel, **encoder),
        tokenizer=tokenizer(pad),
        unet=unet(**changes),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


XL = {
    "attention_head_dim": [1, 2],
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": [1, 2],
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
}


def euler():
    return EulerDiscreteScheduler(**BETAS, timestep_spacing="leading", steps_offset=1)


def xl():
    return StableDiffusionXLPipeline(
        vae=autoencoder(scaling_factor=0.13025),
        text_encoder=text(CLIPTextModel),
        tokenizer=tokenizer(LAST),
        text_encoder_2=text(CLIPTextModelWithProjection, hidden_act="gelu"),
        tokenizer_2=tokenizer(FIRST),
        unet=unet(**XL, cross_attention_dim=16, projection_class_embeddings_input_dim=6 + 6 * 8),
        scheduler=euler(),
        add_watermarker=False,
    )


def refiner():
    return StableDiffusionXLImg2ImgPipeline(
        vae=autoencoder(scaling_factor=0.13025),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=text(CLIPTextModelWithProjection, hidden_act="gelu"),
        tokenizer_2=tokenizer(FIRST),
        unet=unet(**XL, projection_class_embeddings_input_dim=6 + 5 * 8),
        scheduler=euler(),
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )


def made(pipe, **arguments):
    """Latents and images of a call, of all rows at once."""
    pipe.set_progress_bar_config(disable=True)
    with torch.no_grad():
        latents = pipe(prompt=CAPTIONS, num_inference_steps=STEPS, output_type="latent", **arguments).images
        decoded = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    assert 0.2 < latents.std() < 12, latents.std()
    pixels = pipe.image_processor.postprocess(decoded, output_type="np", do_denormalize=[True] * len(IDS))
    pixels = (pixels * 255).round().astype(numpy.uint8)
    inside = ((pixels > 0) & (pixels < 255)).mean()
    print(type(pipe).__name__, "latents", float(latents.std()), "images", pixels.std(), "inside", inside)
    assert pixels.std() > 20 and inside > 0.7
    return {
        "latents": [[float(f"{v:.6g}") for v in row.flatten().tolist()] for row in latents],
        "images": [row.tobytes().hex() for row in pixels],
    }


def sd15():
    pipe = stable_diffusion(scheduler=DDIMScheduler(**BETAS, steps_offset=1, clip_sample=False, set_alpha_to_one=False))
    changed = StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False)
    images = [image(name) for name in IDS]
    return pipe, {
        "text-to-image": made(pipe, latents=NOISE, guidance_scale=7.5),
        "unguided": made(pipe, latents=NOISE, guidance_scale=1.0),
        "negative-prompt": made(pipe, latents=NOISE, guidance_scale=5.0, negative_prompt=UNWANTED),
        "image-to-image": made(changed, image=images, strength=0.8, guidance_scale=7.5),
    }


def sd2_v():
    scheduler = DDIMScheduler(
        **BETAS,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
    )
    pipe = stable_diffusion(
        scheduler=scheduler,
        pad=FIRST,
        encoder={"hidden_act": "gelu"},
        attention_head_dim=[2, 4],
        use_linear_projection=True,
    )
    return pipe, {"text-to-image": made(pipe, latents=NOISE, guidance_scale=7.5)}


def inpainting():
    scheduler = DPMSolverMultistepScheduler(**BETAS, timestep_spacing="leading", steps_offset=1)
    pipe = stable_diffusion(StableDiffusionInpaintPipeline, scheduler, in_channels=9)
    given = {"image": [image(name) for name in IDS], "mask_image": [mask(row) for row in range(len(IDS))]}
    sizes = {"height": PIXELS, "width": PIXELS, "strength": 1.0}
    return pipe, {"in-painting": made(pipe, latents=NOISE, guidance_scale=7.5, **given, **sizes)}


def sdxl():
    pipe = xl()
    return pipe, {
        "text-to-image": made(pipe, latents=NOISE, guidance_scale=5.0),
        "negative-prompt": made(pipe, latents=NOISE, guidance_scale=5.0, negative_prompt=UNWANTED),
    }


def clip():
    words = {"vocab_size": len(vocabulary()), "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2}
    end = {"bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513}
    seen = {"hidden_size": 12, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
    config = CLIPConfig(
        text_config={**words, **end, "num_attention_heads": 2, "max_position_embeddings": LENGTH},
        vision_config={**seen, "image_size": 8, "patch_size": 4},
        projection_dim=6,
    )
    return filled(CLIPModel(config)), {}


def minilm():
    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 24}
    return filled(BertModel(BertConfig(vocab_size=40, max_position_embeddings=16, **sizes))), {}


def taesd():
    return filled(AutoencoderTiny()), {}


FOLDERS = {
    "sd15": sd15,
    "sd15-inpainting": inpainting,
    "sd2-base": lambda: (
        stable_diffusion(
            scheduler=PNDMScheduler(**BETAS, skip_prk_steps=True, steps_offset=1),
            pad=FIRST,
            encoder={"hidden_act": "gelu"},
            attention_head_dim=[2, 4],
            use_linear_projection=True,
        ),
        {},
    ),
    "sd2-v": sd2_v,
    "sdxl": sdxl,
    "sdxl-refiner": lambda: (refiner(), {}),
    "clip": clip,
    "minilm": minilm,
    "taesd": taesd,
}


def described(folder):
    """The configurations of a folder, the padding tokens of its tokenizers, and a digest of the names and shapes in each file of
    weights, which may leave out the prefix of a text tower."""
    files, pads, weights = {}, {}, {}
    for path, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            inner = os.path.relpath(os.path.join(path, name), folder)
            if name in ["config.json", "model_index.json", "scheduler_config.json"]:
                with open(os.path.join(path, name)) as file:
                    config = file.read()
                # Python writes numbers that JSON does not have.
                files[inner] = config if "Infinity" in config else json.loads(config)
            elif name == "tokenizer_config.json":
                with open(os.path.join(path, name)) as file:
                    pads[inner.removesuffix(name)] = json.load(file)["pad_token"]
            elif name == "vocab.txt":
                with open(os.path.join(path, name)) as file:
                    files[inner] = file.read()
            elif name.endswith(".safetensors"):
                with open(os.path.join(path, name), "rb") as file:
                    header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
                shapes = {key: entry["shape"] for key, entry in header.items() if key != "__metadata__"}
                weights[inner] = {"digest": digest(shapes)}
                if inner.startswith("text_encoder") and not any(key.startswith("text_model.") for key in shapes):
                    weights[inner]["without"] = "text_model."
    return files, pads, weights


def main():
    DiagonalGaussianDistribution.sample = lambda self, generator=None: self.mean
    pipeline_stable_diffusion_img2img.randn_tensor = lambda shape, **_: NOISE
    for name, make in FOLDERS.items():
        model, cases = make()
        with tempfile.TemporaryDirectory() as temporary:
            folder = os.path.join(sys.argv[1] if len(sys.argv) > 1 else temporary, name)
            model.save_pretrained(folder)
            if name == "clip":
                tokenizer(LAST).save_pretrained(folder)
            if name == "minilm":
                with open(f"{folder}/vocab.txt", "w") as file:
                    file.write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map(chr, range(97, 123))]) + "\n")
            files, pads, weights = described(folder)
        with open(f"{name}.json", "w") as file:
            json.dump({"files": files, "pads": pads, "weights": weights, "cases": cases}, file, separators=(",", ":"))
            file.write("\n")


if __name__ == "__main__":
    main()
