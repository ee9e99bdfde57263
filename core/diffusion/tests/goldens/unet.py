"""Reference outputs of the U-Net, from diffusers' UNet2DConditionModel in float32.

Run `python3 unet.py` in this folder, with torch and diffusers installed (written with diffusers 0.42); it writes unet.json
beside it. Parameters and inputs are the closed form of `fill`, so that the test sets the same; only outputs are stored.
"""

import json

import numpy
import torch
from diffusers import UNet2DConditionModel

ROWS = 2
STEPS = [17, 801]


def fill(name, shape, scale, offset=0.0):
    """offset + scale u, u in [-1, 1) a hash of the name and the place."""
    h = sum(ord(letter) * (place + 1) for place, letter in enumerate(name))
    mask = numpy.uint64(0xFFFFFFFF)
    s = (numpy.arange(int(numpy.prod(shape)), dtype=numpy.uint64) * 0x9E3779B1 + h * 0x85EBCA6B) & mask
    s = ((s ^ (s >> numpy.uint64(15))) * 0x2C1B3C6D) & mask
    s ^= s >> numpy.uint64(12)
    values = offset + scale * (s.astype(numpy.float64) / 2**31 - 1)
    return torch.from_numpy(values.astype(numpy.float32).reshape(shape))


def parameter(name, shape):
    if len(shape) > 1:
        return fill(name, shape, (3 / numpy.prod(shape[1:])) ** 0.5)
    return fill(name, shape, 0.2, 1.0) if name.endswith("weight") else fill(name, shape, 0.1)


def digest(shapes):
    """FNV-1a of all names and shapes in alphabetical order: a list of them would be most of the file."""
    digest = 0xCBF29CE484222325
    for byte in "".join(sorted(f"{name} {shape}\n" for name, shape in shapes.items())).encode():
        digest = (digest ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


def case(config, channels, size, tokens, mask=None, planes=0, vectors=None):
    """`config` in the words of diffusers; attention per level as a flag. `planes` are channels beside those of the stream;
    `vectors` are the sizes of a vector that joins the time, of numbers that do, and the waves of each number."""
    joined = {}
    if vectors is not None:
        plain, numbers, waves = vectors
        joined = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": waves,
            "projection_class_embeddings_input_dim": plain + waves * numbers,
        }
    attention = config["attention"]
    depths = config["transformer_layers_per_block"]
    network = UNet2DConditionModel(
        in_channels=channels + planes,
        out_channels=channels,
        block_out_channels=tuple(config["block_out_channels"]),
        layers_per_block=config["layers_per_block"],
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
        attention_head_dim=tuple(config["num_attention_heads"]),
        transformer_layers_per_block=depths[0] if len(depths) == 1 else tuple(depths),
        norm_eps=config["norm_eps"],
        cross_attention_dim=config["cross_attention_dim"],
        norm_num_groups=config["norm_num_groups"],
        use_linear_projection=config["use_linear_projection"],
        **joined,
    ).eval()
    network.load_state_dict({name: parameter(name, tuple(p.shape)) for name, p in network.state_dict().items()})
    x = fill("x", (ROWS, channels, *size), 1.3)
    prompt = fill("prompt", (ROWS, tokens, config["cross_attention_dim"]), 1.3)
    given = None if mask is None else torch.tensor(mask)
    if planes:
        x = torch.cat([x, fill("planes", (ROWS, planes, *size), 1.3)], 1)
    added = None
    if vectors is not None:
        added = {"text_embeds": fill("vector", (ROWS, plain), 1.3), "time_ids": fill("numbers", (ROWS, numbers), 500, 500)}
    with torch.no_grad():
        y = network(x, torch.tensor(STEPS), prompt, encoder_attention_mask=given, added_cond_kwargs=added).sample
    return {
        "network": {"kind": "unet", **config},
        "shape": [channels, *size],
        "steps": STEPS,
        "tokens": tokens,
        "mask": mask,
        "planes": planes,
        "vectors": vectors,
        "parameters": digest({name: list(p.shape) for name, p in network.state_dict().items()}),
        "output": [float(f"{v:.7g}") for v in y.flatten().tolist()],
    }


def main():
    common = {"layers_per_block": 2, "transformer_layers_per_block": [1], "norm_eps": 1e-5, "use_linear_projection": False}
    cases = [
        # The shape of Stable Diffusion 1.5, forty times as narrow.
        case(
            {
                **common,
                "block_out_channels": [8, 16, 32, 32],
                "attention": [True, True, True, False],
                "num_attention_heads": [2, 2, 2, 2],
                "cross_attention_dim": 8,
                "norm_num_groups": 4,
            },
            4,
            [8, 8],
            5,
        ),
        # Stable Diffusion 2: heads per level, linear projections; here also two blocks and sizes that halve unevenly.
        case(
            {
                "block_out_channels": [8, 12],
                "layers_per_block": 1,
                "attention": [True, True],
                "num_attention_heads": [1, 3],
                "transformer_layers_per_block": [2],
                "norm_eps": 1e-5,
                "cross_attention_dim": 6,
                "norm_num_groups": 2,
                "use_linear_projection": True,
            },
            3,
            [7, 5],
            4,
        ),
        # Stable Diffusion XL: deeper attention at coarser levels, none at the finest; another epsilon; rows with prompts of
        # different lengths.
        case(
            {
                **common,
                "transformer_layers_per_block": [1, 1, 2],
                "norm_eps": 1e-3,
                "block_out_channels": [6, 12, 12],
                "attention": [False, False, True],
                "num_attention_heads": [1, 1, 4],
                "cross_attention_dim": 10,
                "norm_num_groups": 3,
            },
            2,
            [8, 12],
            3,
            mask=[[True, True, True], [True, False, False]],
        ),
        # Stable Diffusion XL with its in-painting: a vector and numbers join the time, five channels lie beside the stream.
        case(
            {
                **common,
                "transformer_layers_per_block": [1, 2],
                "block_out_channels": [8, 16],
                "attention": [False, True],
                "num_attention_heads": [1, 2],
                "cross_attention_dim": 10,
                "norm_num_groups": 4,
                "use_linear_projection": True,
            },
            4,
            [8, 8],
            3,
            planes=5,
            vectors=[6, 6, 8],
        ),
    ]
    with open("unet.json", "w") as file:
        json.dump(cases, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
