"""Points and states of published schedulers at their own times, as diffusers 0.42.1 computes them.

Run by hand in this folder, with diffusers and torch installed; it writes schedulers.json. Each entry has our settings, and
for several numbers of steps N the points [timestep, a, s], x = a x0 + s eps, and where sampling ends. Beyond 15 steps
only sums are kept, weighted by index. `states` are the states after each of ten updates of a network that is linear in
its input and in the timestep, without any scaling of the scheduler's own: x / sqrt(1 + sigma^2) for those that hold
x / a. The random numbers of an update are replaced by sin(3 i + 1).

diffusers computes its chains in f32, whose rounding a timestep between whole steps repeats a thousandfold (ours is a
difference of logarithms over a difference of logarithms). So the chains are computed in f64 here; diffusers rounds the
results to f32.
"""

import json
import math
from unittest import mock

import diffusers
import torch
from diffusers.schedulers import scheduling_ddpm, scheduling_euler_ancestral_discrete

FEW, MANY, STEPS, START = [1, 2, 4, 14, 15], [20, 25, 30, 50, 999], 10, 1.3
LAST = 999  # The last timestep of a chain.
SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SAMPLE = {"clip_sample": False}
FIRST = {"set_alpha_to_one": False, "steps_offset": 1}
ZERO = {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
ONE = {"steps_offset": 1}
KARRAS, EXPONENTIAL = {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}
DISCRETE = {"kind": "discrete"}


def law(name):
    return {"timestep_spacing": name}


# Class, its configuration, our sampler, our spacing, our schedule.
CASES = [
    ("DDIMScheduler", SD | SAMPLE | FIRST | law("leading"), "ddim",
     {"law": "leading", "offset": 1, "last": "first", "stride": "floor"}, DISCRETE),
    ("DDIMScheduler", SD | SAMPLE | ZERO | law("trailing"), "ddim", {"law": "trailing", "stride": "floor"},
     DISCRETE | {"zero_snr": True}),
    ("DDIMScheduler", SD | SAMPLE | law("linspace"), "ddim", {"law": "linspace", "stride": "floor"}, DISCRETE),
    ("DDPMScheduler", SAMPLE | ONE | law("leading") | {"beta_schedule": "squaredcos_cap_v2"}, "ddpm",
     {"law": "leading", "offset": 1, "stride": "floor"}, DISCRETE | {"betas": "squared-cosine"}),
    ("EulerDiscreteScheduler", SD | ONE | law("leading"), "euler", {"law": "leading", "offset": 1}, DISCRETE),
    ("EulerDiscreteScheduler", SD | law("linspace"), "euler", {"law": "linspace", "round": False, "start": "noise"},
     DISCRETE),
    ("EulerDiscreteScheduler", SD | ZERO | law("trailing"), "euler", {"law": "trailing", "start": "noise"},
     DISCRETE | {"zero_snr": True}),
    ("EulerDiscreteScheduler", SD | law("linspace") | KARRAS, "euler",
     {"law": "karras", "within": "linspace", "round": False, "start": "noise"}, DISCRETE),
    ("EulerDiscreteScheduler", SD | ONE | law("leading") | EXPONENTIAL, "euler",
     {"law": "exponential", "within": "leading", "offset": 1, "round": False}, DISCRETE),
    ("EulerAncestralDiscreteScheduler", SD | law("linspace"), "euler-ancestral",
     {"law": "linspace", "round": False, "start": "noise"}, DISCRETE),
    ("HeunDiscreteScheduler", SD | law("linspace"), "heun", {"law": "linspace", "round": False, "start": "noise"},
     DISCRETE),
    ("DPMSolverMultistepScheduler", SD | law("linspace"), "dpmpp-2m", {"law": "linspace", "spare": 1}, DISCRETE),
    ("DPMSolverMultistepScheduler", SD | ONE | law("leading"), "dpmpp-2m", {"law": "leading", "offset": 1, "spare": 1},
     DISCRETE),
    ("DPMSolverMultistepScheduler", SD | KARRAS, "dpmpp-2m", {"law": "karras"}, DISCRETE),
    ("DPMSolverMultistepScheduler", SD | law("trailing") | {"final_sigmas_type": "sigma_min"}, "dpmpp-2m",
     {"law": "trailing", "last": "first"}, DISCRETE),
    ("DPMSolverMultistepScheduler", SD | ZERO | law("trailing"), "dpmpp-2m", {"law": "trailing"},
     DISCRETE | {"zero_snr": True}),
    ("UniPCMultistepScheduler", {"beta_schedule": "linear"} | law("linspace"), "unipc", {"law": "linspace", "spare": 1},
     DISCRETE | {"betas": "linear", "beta_start": 0.0001, "beta_end": 0.02}),
    ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}, "euler", {"law": "linspace"}, {"kind": "flow", "shift": 3.0}),
    ("FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True}, "euler", None,
     {"kind": "flow", "shift": math.exp(1.15)}),
]


@mock.patch.object(torch, "float32", torch.float64)
def made(name, options, steps):
    scheduler = getattr(diffusers, name)(**options)
    if options.get("use_dynamic_shifting"):
        sigmas = [1 - index * (1 - 1 / steps) / max(steps - 1, 1) for index in range(steps)]
        scheduler.set_timesteps(sigmas=sigmas, mu=1.15)
    else:
        scheduler.set_timesteps(steps)
    return scheduler


def holds_ratio(name):
    return name.startswith(("Euler", "Heun"))


def points(name, scheduler):
    """[timestep, a, s] of each evaluation, and the a and s of the end."""
    times = [float(t) for t in scheduler.timesteps]
    if name.startswith(("DDIM", "DDPM")):
        squared = [float(scheduler.alphas_cumprod[int(t)]) for t in times]
        last = int(times[-1]) - scheduler.config.num_train_timesteps // len(times)
        final = getattr(scheduler, "final_alpha_cumprod", torch.tensor(1.0))
        end = float(scheduler.alphas_cumprod[last] if last >= 0 else final)
        pairs = [(math.sqrt(a), math.sqrt(1 - a)) for a in [*squared, end]]
    elif name.startswith("Flow"):
        pairs = [(1 - float(s), float(s)) for s in scheduler.sigmas]
    else:
        pairs = [(1 / math.hypot(1, s), s / math.hypot(1, s)) for s in map(float, scheduler.sigmas)]
    return [[t, a, s] for t, (a, s) in zip(times, pairs)], list(pairs[-1])


def states(name, scheduler):
    counter = iter(range(10**6))
    noise = lambda shape, **_: torch.full(shape, math.sin(3.0 * next(counter) + 1.0), dtype=torch.float64)
    for module in [scheduling_ddpm, scheduling_euler_ancestral_discrete]:
        module.randn_tensor = noise
    x = torch.full((1, 1), START, dtype=torch.float64) * float(getattr(scheduler, "init_noise_sigma", 1.0))
    found = []
    for index, t in enumerate(scheduler.timesteps):
        shown = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        output = 0.3 * shown + 0.1 + 0.2 * float(t) / 1000
        x = scheduler.step(output, t, x).prev_sample.to(torch.float64)
        scale = math.hypot(1, float(scheduler.sigmas[index + 1])) if holds_ratio(name) else 1.0
        found.append(float(x) / scale)
    return found


def rounded(value, digits=8):
    return [rounded(part, digits) for part in value] if isinstance(value, list) else round(value, digits)


def entry(name, options, kind, spacing, schedule):
    few, many = {}, {}
    for steps in FEW + MANY:
        rows, end = points(name, made(name, options, steps))
        if rows[0][0] > LAST and not name.startswith("Flow"):
            continue  # diffusers goes on beyond the chain; we refuse it.
        if steps in FEW:
            few[steps] = rounded([*rows, end])
        else:
            weighted = [sum((index + 1) * row[column] for index, row in enumerate(rows)) / len(rows) for column in range(3)]
            many[steps] = rounded([float(len(rows)), *[sum(row[column] for row in rows) for column in range(3)], *weighted])
    sampler = {"kind": kind} | ({"spacing": spacing} if spacing else {})
    if kind == "ddim":
        sampler["eta"] = 0.0
    predict = {"v_prediction": "v"}.get(options.get("prediction_type"), "flow" if name.startswith("Flow") else "eps")
    return {"of": name, "sampler": sampler, "schedule": schedule, "predict": predict, "points": few, "sums": many,
            "states": rounded(states(name, made(name, options, STEPS)))}


if __name__ == "__main__":
    entries = [entry(*case) for case in CASES]
    with open("schedulers.json", "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries) + "\n]\n")
