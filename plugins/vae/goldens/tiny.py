"""Reference outputs of the tiny autoencoder in float64 numpy, written from the definition at github.com/madebyollin/taesd.

Run `python3 tiny.py` in this folder; it writes tiny.json beside it. Every weight and input is the closed form of `fill`,
rounded to f32, so that the test sets the same; only outputs are stored.
"""

import json

import numpy as np

HIDDEN, LATENT, ROWS, HEIGHT, WIDTH = 8, 2, 1, 16, 8


def fill(name, shape, scale, offset):
    """offset + scale sin(1 + 0.7 h + 0.9 i), h a hash of the name."""
    h = sum(ord(letter) * (place + 1) for place, letter in enumerate(name)) % 101
    i = np.arange(int(np.prod(shape)), dtype=np.float64)
    return (offset + scale * np.sin(1 + 0.7 * h + 0.9 * i)).astype(np.float32).astype(np.float64).reshape(shape)


def conv(x, name, outputs, kernel=3, stride=1, bias=True):
    inputs = x.shape[1]
    weight = fill(name + ".weight", (outputs, inputs, kernel, kernel), 1.4 / np.sqrt(inputs * kernel * kernel), 0)
    pad = kernel // 2
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    rows, columns = x.shape[2] - kernel + 1, x.shape[3] - kernel + 1
    y = np.zeros((x.shape[0], outputs, rows, columns))
    for a in range(kernel):
        for b in range(kernel):
            y += np.einsum("oi,nihw->nohw", weight[:, :, a, b], x[:, :, a : a + rows, b : b + columns])
    y = y[:, :, ::stride, ::stride]
    return y + fill(name + ".bias", (outputs,), 0.1, 0)[None, :, None, None] if bias else y


def relu(x):
    return np.maximum(x, 0)


def group_norm(x, name, groups=4):
    parts = x.reshape(x.shape[0], groups, -1)
    mean, variance = parts.mean(2, keepdims=True), parts.var(2, keepdims=True)
    y = ((parts - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape)
    channels = x.shape[1]
    scale, shift = fill(name + ".weight", (channels,), 0.2, 1), fill(name + ".bias", (channels,), 0.1, 0)
    return y * scale[None, :, None, None] + shift[None, :, None, None]


def block(x, name, norm):
    if norm:
        y = relu(group_norm(conv(x, name + ".pool.0", 4 * HIDDEN, kernel=1, bias=False), name + ".pool.1"))
        x = x + conv(y, name + ".pool.3", HIDDEN, kernel=1, bias=False)
    y = relu(conv(x, name + ".conv.0", HIDDEN))
    y = relu(conv(y, name + ".conv.2", HIDDEN))
    return relu(conv(y, name + ".conv.4", HIDDEN) + x)


def encode(x, norm):
    x = block(conv(x, "encoder.0", HIDDEN), "encoder.1", False)
    for first in (2, 6, 10):
        x = conv(x, f"encoder.{first}", HIDDEN, stride=2, bias=False)
        for layer in range(first + 1, first + 4):
            x = block(x, f"encoder.{layer}", norm and first == 10)
    return conv(x, "encoder.14", LATENT)


def decode(x, norm):
    x = relu(conv(3 * np.tanh(x / 3), "decoder.1", HIDDEN))
    for first in (3, 8, 13):
        for layer in range(first, first + 3):
            x = block(x, f"decoder.{layer}", norm and first == 3)
        x = conv(x.repeat(2, 2).repeat(2, 3), f"decoder.{first + 4}", HIDDEN, bias=False)
    return conv(block(x, "decoder.18", False), "decoder.19", 3)


goldens = []
for norm in (False, True):
    image = fill("image", (ROWS, 3, HEIGHT, WIDTH), 0.5, 0.5)
    latent = fill("latent", (ROWS, LATENT, HEIGHT // 8, WIDTH // 8), 2.0, 0)
    encoded, decoded = encode(image, norm), decode(latent, norm)
    print(f"norm {norm}: standard deviation of latent {encoded.std():.3f}, of image {decoded.std():.3f}")
    round6 = lambda x: [float(f"{v:.7g}") for v in x.flatten()]
    goldens.append({"mid_block_norm": norm, "latent": round6(encoded), "image": round6(decoded)})
with open("tiny.json", "w") as file:
    json.dump(goldens, file, separators=(",", ":"))
