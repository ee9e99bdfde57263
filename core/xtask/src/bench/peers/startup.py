#!/usr/bin/env python3
"""A process from its start to samples: the denoiser of the shipped checkpoint under diffusers' DDIM.

    startup.py CHECKPOINT ROWS STEPS SAMPLES.npy

It stops at the latents: what `anyflow run` does after that (decoding, Parquet) is left out."""
import math, sys
import numpy
import torch
from diffusers import DDIMScheduler
from safetensors import safe_open

F = torch.nn.functional


def load(path):
    with safe_open(path, 'pt') as file:
        prefix = 'denoisers.joint.'
        return {name[len(prefix):]: file.get_tensor(name).float() for name in file.keys() if name.startswith(prefix)}


def denoise(w, x, t, streams=4, frequencies=8):
    def linear(name, x): return F.linear(x, w[name + '.weight'], w[name + '.bias'])
    def norm(name, x): return F.layer_norm(x, x.shape[-1:], w[name + '.weight'], w[name + '.bias'])
    angles = (t * math.pi / 4 * 2.0 ** torch.arange(frequencies)).repeat(streams).expand(len(x), -1)
    time = linear('time.1', F.silu(linear('time.0', torch.cat([angles.sin(), angles.cos(), torch.ones(len(x), streams)], 1))))
    h = linear('input', x)
    for k in range(sum(name.endswith('.up.weight') for name in w)):
        up = linear(f'blocks.{k}.up', F.silu(norm(f'blocks.{k}.norm', h)))
        h = h + linear(f'blocks.{k}.down', F.silu(up + linear(f'blocks.{k}.time', time)))
    return linear('output', F.silu(norm('output.norm', h)))


def main(checkpoint, rows, steps, samples):
    torch.set_num_threads(1)
    weights = load(checkpoint)
    scheduler = DDIMScheduler(beta_start=1e-4, beta_end=0.02, prediction_type='sample', clip_sample=False)
    scheduler.set_timesteps(int(steps))
    x = torch.randn(int(rows), weights['input.weight'].shape[1], generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        for t in scheduler.timesteps:
            x = scheduler.step(denoise(weights, x, t / 1000), t, x, return_dict=False)[0]
    numpy.save(samples, x.numpy())


if __name__ == '__main__':
    main(*sys.argv[1:])
