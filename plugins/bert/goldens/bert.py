"""Reference outputs of transformers' BertModel in float64: `python3 bert.py` writes bert.json beside it.

The mean and the unit length are those of sentence-transformers: `Pooling` and `Normalize`.
"""

import sys

import torch
from transformers import BertConfig, BertModel

sys.path.insert(0, "../../../core/sdk/src/testkit")
from closed_form import fill, numbers, write

SIZES = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12, "vocab_size": 20,
         "max_position_embeddings": 16, "type_vocab_size": 2, "layer_norm_eps": 1e-12}
IDS = [[2, 7, 19, 4, 4, 3, 0, 0], [2, 11, 3, 0, 0, 0, 0, 0], [2, 5, 6, 7, 8, 9, 10, 3]]
MASK = [[1] * 6 + [0] * 2, [1] * 3 + [0] * 5, [1] * 8]

model = fill(BertModel(BertConfig(**SIZES), add_pooling_layer=False)).double()
states = model(input_ids=torch.tensor(IDS), attention_mask=torch.tensor(MASK)).last_hidden_state
shown = torch.tensor(MASK).unsqueeze(-1).double()
mean = (states * shown).sum(1, keepdim=True) / shown.sum(1, keepdim=True).clamp(min=1e-9)
outputs = {"states": states, "first": states[:, :1], "mean": torch.nn.functional.normalize(mean, dim=-1)}
golden = {name: numbers(name, tensor.detach()) for name, tensor in outputs.items()}
write("bert.json", {"sizes": SIZES, "ids": IDS, "mask": MASK, **golden})
