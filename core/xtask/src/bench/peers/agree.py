#!/usr/bin/env python3
"""Gives both sides of a workload the same weights and inputs, and checks that they compute the same.

    agree.py export WORK FILE            writes the weights and inputs of the peer
    agree.py compare WORK FILE RESULTS   prints how far our results are from the peer's, relative to the largest value
"""
import json, re, sys
import torch
from safetensors.torch import load_file, save_file
import ddim_loop
import images

PARTS = {'i': 'input', 'e.0': 'time.0', 'e.2': 'time.1', 'on': 'output.norm', 'o': 'output'}
OF_BLOCK = {'n1': 'norm', 'l1': 'up', 't': 'time', 'n2': 'inner', 'l2': 'down'}
TRAIN = {'train-512': ('512', '256'), 'train-512-bf16': ('512', '256'), 'train-64': ('64', '16')}


UNET = {'unet': (), 'unet-bf16': (), 'unet-tiny': ('--tiny',)}


def named(parameter, work):
    """Our name of a parameter of the peer."""
    if work in UNET:
        return parameter
    part, kind = parameter.rsplit('.', 1)
    block = re.fullmatch(r'b\.(\d+)\.(\w+)', part)
    return f'blocks.{block[1]}.{OF_BLOCK[block[2]]}.{kind}' if block else f'{PARTS[part]}.{kind}'


def peer(work):
    """The network of a workload, and what else its script leaves behind."""
    if work in TRAIN:
        width, batch = TRAIN[work]
        once = ['--dim', width, '--batch', batch, '--opt', 'none', '--steps', '1', '--iters', '1', '--warmup', '0']
        left = ddim_loop.globals_of('peer_mlp_train.py', *once)
        return left['m'], left
    if work.startswith('requests'):
        left = ddim_loop.globals_of('peer_requests.py', '--policy', 'static')
        return left['m'], left
    if work in UNET:
        once = [*UNET[work], '--iters', '1', '--warmup', '0', '--no-flops']
        left = ddim_loop.globals_of('peer_unet_sd15.py', *once)
        return left['m'], left
    return ddim_loop.network(torch), {}


def exported(work):
    if work == 'images':
        return {'file': torch.frombuffer(bytearray(images.photo()), dtype=torch.uint8)}
    network, left = peer(work)
    tensors = {'weight.' + named(name, work): value.detach().clone() for name, value in network.named_parameters()}
    if work in TRAIN:
        batch = int(TRAIN[work][1])
        tensors |= {'x': torch.randn(batch, 128), 't': torch.rand(batch, 2)}
    if work in UNET:
        tensors |= {'x': left['x'], 'prompt': left['ctx']}
    if work.startswith('requests'):
        tensors |= {name: torch.as_tensor(left[name], dtype=torch.int64) for name in ('rows', 'steps')}
    return tensors


def expected(work, given, found):
    """What the peer computes from the same start."""
    if work == 'images':
        return {'pixels': torch.from_numpy(images.pixels(given['file'].numpy().tobytes()))}
    network, _ = peer(work)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(given['weight.' + named(name, work)])
    if work in TRAIN:
        network.zero_grad(set_to_none=True)
        output = network(given['x'], given['t'])
        output.square().mean().backward()
        gradients = {'gradient.' + named(name, work): value.grad for name, value in network.named_parameters()}
        return {'output': output.detach(), **gradients}
    with torch.inference_mode():
        if work in UNET:
            return {'output': network(given['x'], torch.tensor([500]), given['prompt'], return_dict=False)[0]}
        if work.startswith('requests'):
            return {'sample': requests(network, given, found)}
        return {'sample': ddim_loop.sample(torch, network, ddim_loop.scheduler(), found['start'])}


def requests(network, given, found):
    """One request after another: the update of peer_requests.py, at our times of our schedule."""
    samples, first = [], 0
    for rows, steps in zip(given['rows'].tolist(), given['steps'].tolist()):
        x = found['start'][first:first + rows]
        time, signal, noise = (found[f'{name}.{steps}'].float() for name in ('time', 'signal', 'noise'))
        for k in range(steps):
            e = network(x, time[k].expand(rows))
            x = (x - noise[k] * e) / signal[k] * signal[k + 1] + noise[k + 1] * e
        samples.append(x)
        first += rows
    return torch.cat(samples)


def main(task, work, file, results=None):
    if task == 'export':
        save_file(exported(work), file)
        return
    given, found = load_file(file), load_file(results)
    differences = {}
    for name, value in expected(work, given, found).items():
        differences[name] = ((found[name] - value).abs().max() / value.abs().max()).item()
    worst = max(differences, key=differences.get)
    print(json.dumps({'difference': differences[worst], 'at': worst, 'compared': len(differences)}))


if __name__ == '__main__':
    torch.set_num_threads(1)
    main(*sys.argv[1:])
