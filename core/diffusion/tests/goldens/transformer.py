"""Reference outputs of the transformer, in PyTorch float64, written from the formulas of its documentation.

Run `python3 transformer.py` in this folder, with torch installed; it writes transformer.json beside it. Parameters and
inputs are the closed form of `fill` in unet.py, so that the test sets the same; only outputs are stored.

Peebles & Xie 2023, "Scalable diffusion models with transformers", section 3.2 (adaLN-Zero), with a time per stream;
attention of Vaswani et al. 2017; GEGLU of Shazeer 2020.
"""

import json
import math

import numpy
import torch
import torch.nn.functional as F

STREAMS = {"a": [2, 4, 6], "b": [3, 5], "c": [4]}
ROWS, WIDTH, BLOCKS, HEADS, PATCH, PROMPT, TOKENS = 3, 8, 2, 2, 2, 6, 3


def fill(name, shape, scale, offset=0.0):
    """As in unet.py."""
    h = sum(ord(letter) * (place + 1) for place, letter in enumerate(name))
    mask = numpy.uint64(0xFFFFFFFF)
    s = (numpy.arange(int(numpy.prod(shape)), dtype=numpy.uint64) * 0x9E3779B1 + h * 0x85EBCA6B) & mask
    s = ((s ^ (s >> numpy.uint64(15))) * 0x2C1B3C6D) & mask
    s ^= s >> numpy.uint64(12)
    values = offset + scale * (s.astype(numpy.float64) / 2**31 - 1)
    return torch.from_numpy(values.astype(numpy.float32).reshape(shape)).double()


def matrix(name, to, from_):
    return fill(name, (to, from_), (3 / from_) ** 0.5)


def linear(x, name, to):
    return x @ matrix(name + ".weight", to, x.shape[-1]).T + fill(name + ".bias", (to,), 0.1)


def attention(name, x, read, mask):
    """Before the output layer; a row with nothing to read gets zeros."""
    q = x @ matrix(name + ".to_q.weight", WIDTH, WIDTH).T
    k = read @ matrix(name + ".to_k.weight", WIDTH, read.shape[-1]).T
    v = read @ matrix(name + ".to_v.weight", WIDTH, read.shape[-1]).T
    parts = []
    for head in range(HEADS):
        at = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
        scores = torch.exp(q[..., at] @ k[..., at].transpose(1, 2) / math.sqrt(WIDTH // HEADS)) * mask[:, None, :]
        total = scores.sum(-1, keepdim=True)
        parts.append(torch.where(total > 0, scores @ v[..., at] / total, torch.zeros(())))
    return torch.cat(parts, -1)


def squares(x):
    rows, channels, height, width = x.shape
    tokens = []
    for i in range(0, height, PATCH):
        for j in range(0, width, PATCH):
            tokens.append(x[:, :, i : i + PATCH, j : j + PATCH].reshape(rows, -1))
    return torch.stack(tokens, 1)


def from_squares(tokens, shape):
    channels, height, width = shape
    out, index = torch.zeros(ROWS, *shape, dtype=torch.float64), 0
    for i in range(0, height, PATCH):
        for j in range(0, width, PATCH):
            out[:, :, i : i + PATCH, j : j + PATCH] = tokens[:, index].reshape(ROWS, channels, PATCH, PATCH)
            index += 1
    return out


def main():
    t = torch.tensor([[0.125 * (row + 1), 0.75 - 0.125 * row, 0.25] for row in range(ROWS)]).double()
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [1, 1, 0]]).double()
    pieces, owner = [], []
    for place, (name, shape) in enumerate(STREAMS.items()):
        x = fill("x" + name, (ROWS, *shape), 1.3) * present[:, place].reshape(-1, *[1] * len(shape))
        x = squares(x) if len(shape) == 3 else x.reshape(ROWS, -1, shape[-1])
        count = x.shape[1]
        position = matrix(f"streams.{name}.position", count, WIDTH)
        pieces.append(linear(x, f"streams.{name}.input", WIDTH) + position)
        owner += [place] * count
    h, owner = torch.cat(pieces, 1), torch.tensor(owner)
    seen = present[:, owner]
    k = torch.arange(WIDTH // 2).double()
    angles = (1000 * t - 1)[..., None] * torch.exp(-math.log(10000) * k / (WIDTH // 2))
    waves = torch.cat([angles.cos(), angles.sin()], -1)
    e = linear(F.silu(linear(waves, "time_embedding.linear_1", WIDTH)), "time_embedding.linear_2", WIDTH)
    e = F.silu(e)[:, owner]
    prompt = fill("prompt", (ROWS, TOKENS, PROMPT), 1.3)
    there = torch.tensor([[1, 1, 1], [1, 1, 0], [0, 0, 0]]).double()
    norm = lambda x: F.layer_norm(x, (WIDTH,), eps=1e-6)
    for index in range(BLOCKS):
        block = f"blocks.{index}"
        shift, scale, gate, shift2, scale2, gate2 = linear(e, block + ".modulation", 6 * WIDTH).chunk(6, -1)
        normal = norm(h) * (1 + scale) + shift
        h = h + gate * linear(attention(block + ".attn", normal, normal, seen), block + ".attn.to_out.0", WIDTH)
        read = F.layer_norm(h, (WIDTH,), eps=1e-5) * fill(block + ".prompt.norm.weight", (WIDTH,), 0.2, 1.0)
        read = read + fill(block + ".prompt.norm.bias", (WIDTH,), 0.1)
        change = attention(block + ".prompt", read, prompt, there)
        h = h + change @ matrix(block + ".prompt.to_out.weight", WIDTH, WIDTH).T
        a, b = linear(norm(h) * (1 + scale2) + shift2, block + ".ff.net.0.proj", 8 * WIDTH).chunk(2, -1)
        h = h + gate2 * linear(a * F.gelu(b), block + ".ff.net.2", WIDTH)
    shift, scale = linear(e, "output.modulation", 2 * WIDTH).chunk(2, -1)
    h = norm(h) * (1 + scale) + shift
    outputs = {}
    for place, (name, shape) in enumerate(STREAMS.items()):
        count = int((owner == place).sum())
        y = linear(h[:, owner == place], f"streams.{name}.output", math.prod(shape) // count)
        y = from_squares(y, shape) if len(shape) == 3 else y
        outputs[name] = [float(f"{v:.9g}") for v in y.flatten().tolist()]
    with open("transformer.json", "w") as file:
        json.dump({"t": t.tolist(), "present": present.tolist(), "there": there.tolist(), "outputs": outputs}, file)
        file.write("\n")


main()
