#!/usr/bin/env python3
"""DDIM of diffusers round the peers' score network at width 64: one row, 200 steps. `pf.py` and the network come from
the folder of the peers' scripts, which must be on the path. Times are a thousandth of the scheduler's, from 1 down."""
import contextlib, io, os, runpy, sys

STEPS, ELEMENTS = 200, 16


def globals_of(script, *arguments):
    """What a script of the peers leaves behind when it runs."""
    kept = sys.argv
    path = next(os.path.join(folder, script) for folder in sys.path if os.path.exists(os.path.join(folder, script)))
    sys.argv = [path, *arguments]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return runpy.run_path(path)
    finally:
        sys.argv = kept


def network(torch):
    once = ['--infer', '--dim', '64', '--batch', '1', '--steps', '1', '--iters', '1', '--warmup', '0']
    score = globals_of('peer_mlp_train.py', *once)['Score']
    torch.manual_seed(0)
    return score(ELEMENTS, 64, 4, 1, td=16).eval().requires_grad_(False)


def scheduler():
    from diffusers import DDIMScheduler
    return DDIMScheduler(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear',
                         timestep_spacing='trailing', clip_sample=False)


def sample(torch, score, steps, x):
    steps.set_timesteps(STEPS)
    for t in steps.timesteps:
        time = ((t + 1) / 1000).reshape(1, 1)
        x = steps.step(score(x, time), t, x, return_dict=False)[0]
    return x


if __name__ == '__main__':
    import pf
    arguments = pf.base_parser(__doc__).parse_args()
    torch = pf.setup(arguments)
    score, steps, x = network(torch), scheduler(), torch.randn(1, ELEMENTS)
    with torch.inference_mode():
        wall, cpu = pf.measure(arguments, torch, lambda: sample(torch, score, steps, x))
    params = sum(weight.numel() for weight in score.parameters())
    pf.report(arguments, torch, 'ddim_loop', f'DDIMScheduler, {STEPS} steps, one row, residual MLP width 64', wall, cpu,
              params=params)
