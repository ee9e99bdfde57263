"""Reference outputs of the networks, in plain float64 python, written from the formulas of their papers and docs.

Run `python3 networks.py` in this folder; it writes networks.json beside it. Every parameter and input is the closed form
of `fill`, rounded to f32, so that the test sets the same; only outputs are stored.

residual-mlp  the block of Anyflow's documentation; scale-shift: Perez et al. 2018, "FiLM", eq. (2)
unet-mlp      Bounoua et al. 2024, "Multi-modal latent diffusion", score network UnetMLP with factors (1, 1)
"""

import json
import math
import struct

STREAMS = [[3], [2, 2]]
ROWS = 4


def f32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def fill(name, count, scale, offset):
    """offset + scale sin(1 + 0.7 h + 0.9 i), h a hash of the name."""
    h = sum(ord(letter) * (place + 1) for place, letter in enumerate(name)) % 101
    return [f32(offset + scale * math.sin(1 + 0.7 * h + 0.9 * i)) for i in range(count)]


def linear(x, name, to, bias=True):
    from_ = len(x)
    weight = fill(name + ".weight", to * from_, 1 / math.sqrt(from_), 0)
    shift = fill(name + ".bias", to, 0.1, 0) if bias else [0.0] * to
    return [shift[o] + sum(weight[o * from_ + i] * x[i] for i in range(from_)) for o in range(to)]


def norm(x, name, groups):
    scale, shift = fill(name + ".weight", len(x), 0.2, 1), fill(name + ".bias", len(x), 0.1, 0)
    size, out = len(x) // groups, []
    for g in range(groups):
        part = x[g * size : (g + 1) * size]
        mean = sum(part) / size
        variance = sum((v - mean) ** 2 for v in part) / size
        out += [(v - mean) / math.sqrt(variance + 1e-5) for v in part]
    return [v * a + b for v, a, b in zip(out, scale, shift)]


def silu(x):
    return [v / (1 + math.exp(-v)) for v in x]


def gelu(x):
    return [0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x]


def add(x, y):
    return [a + b for a, b in zip(x, y)]


def residual_mlp(c, x, t, present):
    width = c["width"]
    if c["time"] == "raw":
        features = list(t)
    else:
        angles = [time * 2**k * math.pi / 4 for time in t for k in range(8)]
        features = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
    if c["presence"]:
        features += present
    e = linear(silu(linear(features, "time.0", c["embedding"])), "time.1", c["embedding"])
    h = linear(x, "input", width)
    for k in range(c["blocks"]):
        block = f"blocks.{k}."
        y = linear(silu(norm(h, block + "norm", 1)), block + "up", width)
        if c["modulation"] == "shift":
            y = add(y, linear(e, block + "time", width))
        else:
            both = linear(silu(e), block + "time", 2 * width)
            y = norm(y, block + "inner", 1)
            y = [v * (1 + scale) + shift for v, scale, shift in zip(y, both[:width], both[width:])]
        h = add(h, linear(silu(y), block + "down", width))
    return linear(silu(norm(h, "output.norm", 1)), "output", len(x))


def unet_mlp(c, x, t, present):
    width, groups = c["width"], c["groups"]
    e = linear(gelu(linear(t, "time.0", c["embedding"])), "time.1", c["embedding"])

    def res(x, name):
        y = linear(silu(norm(x, name + ".norm.0", groups)), name + ".first", width)
        y = add(y, linear(silu(e), name + ".time", width))
        y = linear(silu(norm(y, name + ".norm.1", groups)), name + ".second", width)
        return add(y, x if len(x) == width else linear(x, name + ".skip", width))

    h = linear(x, "input", width)
    r, kept = h, []
    for level in range(2):
        h = res(h, f"down.{level}")
        kept.append(h)
        h = linear(h, f"down.{level}.linear", width)
    h = res(res(h, "middle.0"), "middle.1")
    for level in range(2):
        h = res(h + kept.pop(), f"up.{level}")
        h = linear(h, f"up.{level}.linear", width)
    h = res(h + r, "last")
    return linear(silu(norm(h, "output.norm", groups)), "output", len(x))


def case(config, network):
    sizes = [math.prod(shape) for shape in STREAMS]
    inputs = [fill(f"x{place}", ROWS * size, 1.3, 0) for place, size in enumerate(sizes)]
    times = [[f32(0.05 + 0.23 * row), f32(0.9 - 0.21 * row)] for row in range(ROWS)]
    outputs = []
    for row in range(ROWS):
        # The second stream of the last row is absent.
        present = [1.0, 0.0 if row == ROWS - 1 else 1.0]
        x = []
        for place, size in enumerate(sizes):
            x += [v * present[place] for v in inputs[place][row * size : (row + 1) * size]]
        outputs.append(network(config, x, times[row], present))
    return {"network": config, "outputs": outputs}


def main():
    def mlp(**options):
        return {"kind": "residual-mlp", "width": 12, "blocks": 2, "embedding": 12, **options}

    cases = [
        case(mlp(modulation="shift", time="fourier", presence=True), residual_mlp),
        case(mlp(modulation="scale-shift", time="raw", presence=False, embedding=5), residual_mlp),
        case(mlp(modulation="scale-shift", time="fourier", presence=True), residual_mlp),
        case(mlp(modulation="shift", time="raw", presence=True, embedding=7), residual_mlp),
        case({"kind": "unet-mlp", "width": 16, "embedding": 6, "groups": 4}, unet_mlp),
    ]
    with open("networks.json", "w") as file:
        json.dump(cases, file, indent=0)
        file.write("\n")


main()
