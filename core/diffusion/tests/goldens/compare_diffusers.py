"""Steps the samplers of diffusers next to ours, on a denoiser that is known exactly, at our times, in float64.

Run by hand: `python3 compare_diffusers.py` in this folder, with diffusers and torch installed (written for diffusers
0.42). No test needs it. It prints, per sampler, the largest difference of any state on the way: over the four schedules
that preserve variance, and for flow, whose state is scaled to preserve it; values are of order one.

Our side is solvers.json, which the Rust tables are tested against; the data is N(0.7, 0.5^2). Schedulers of diffusers
choose their own times and hold them in float32, so that theirs are replaced: `timesteps`, `sigmas` and `alphas_cumprod`
are set to our grid in float64 after `set_timesteps`. What is compared is the formulas, step after step, and the orders at
both ends. Each scheduler is asked as its `step` asks: eps of the state it holds, which is x for DDIM, DDPM, DPM-Solver++
and UniPC, and x / a for those of Euler and Heun.

Differences and their reasons:

float32   EulerDiscreteScheduler, EulerAncestralDiscreteScheduler and DPMSolverMultistepScheduler cast the state to float32
          inside `step`, whatever comes in: their rows cannot be better than 1e-7 of the largest state. The rest is
          float64 throughout.
dpmpp-3m  DPMSolverMultistepScheduler (order 3, midpoint) adds -a phi_3 D2 with D2 = (d_0 - d_1) / (r_0 + r_1), half of the
          second derivative that the Taylor expansion of the exact integral calls for; the authors' code does so too. The
          method then stays at order 2 (our table has order 3: tests/it/closed_form.rs). The row "dpmpp-3m, D2 halved"
          shows that this is all: with our last term halved there is nothing left but rounding.
Times     At their own times all differ, since `set_timesteps` rounds to a chain of 1000 steps: "linspace", "leading" and
          "trailing" are three grids, none of which is ours (equal steps of continuous time). Not compared.
Ends      With 15 steps or more, order 3 of diffusers keeps order 3 in the last step but one; ours takes order 2 there
          whatever the number of steps. Compared at 10 steps, where diffusers does so too.
"""

import json
import math

import torch

import solvers
from make import Cosine, Flow, Karras, ScaledLinear, VpLinear, coefficients, times

MEAN, DEVIATION, STEPS, START = 0.7, 0.5, 10, 1.3
SCHEDULES = [VpLinear(), Cosine(), ScaledLinear(), Karras(), Flow()]


def x0_at(y, sigma):
    """E[x0 | x] for x = a y, y = x0 + sigma eps."""
    return MEAN + DEVIATION**2 / (DEVIATION**2 + sigma**2) * (y - MEAN)


def noise_at(index):
    """Some numbers of both signs for the noise of the step."""
    return math.sin(3.0 * index + 1.0)


def sigmas_of(schedule):
    pairs = [coefficients(schedule, t) for t in times(schedule, STEPS)[:-1]]
    return [s / a for a, s in pairs] + [0.0]


def kept(sigma):
    """a of the state that preserves variance."""
    return 1.0 / math.sqrt(1.0 + sigma**2)


def ours(schedule, rows):
    """The state after each step, as x / a, and its s / a."""
    level = lambda t: coefficients(schedule, t) if t > 0 else (1.0, 0.0)
    x, saved, last, before, states = START * level(rows[0][0])[0] / kept(sigmas_of(schedule)[0]), 0.0, 0.0, 0.0, []
    for index, (t, t_next, *terms, save) in enumerate(rows):
        a, s = level(t)
        x0 = x0_at(x / a, s / a)
        values = [x, saved, x0, last, before, noise_at(index)]
        following = sum(term * value for term, value in zip(terms, values))
        saved = sum(term * value for term, value in zip(save, values)) if save else saved
        x, last, before = following, x0, last
        states.append((x / level(t_next)[0], level(t_next)[1] / level(t_next)[0]))
    return states


def scheduler(name, sigmas, scaled, **options):
    """A scheduler of diffusers on our grid."""
    import diffusers

    made = getattr(diffusers, name)(num_train_timesteps=STEPS, **options)
    made.set_timesteps(STEPS)
    if name == "HeunDiscreteScheduler":
        sigmas = sigmas[:1] + [sigma for sigma in sigmas[1:-1] for _ in range(2)] + sigmas[-1:]
    grid = list(range(STEPS - 1, -1, -1))
    if name == "HeunDiscreteScheduler":
        grid = grid[:1] + [t for t in grid[1:] for _ in range(2)]
    # Samplers in x / a reject whole numbers, the others need them.
    made.timesteps = torch.tensor(grid, dtype=torch.float64 if scaled else torch.int64)
    made.sigmas = torch.tensor(sigmas, dtype=torch.float64)
    by_time = [kept(sigma) ** 2 for sigma in reversed(sigmas_of_grid(sigmas))]
    made.alphas_cumprod = torch.tensor(by_time, dtype=torch.float64)
    made.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    made.is_scale_input_called = True
    made.one = torch.tensor(1.0, dtype=torch.float64)
    return made


def sigmas_of_grid(sigmas):
    """Each level above 0 once, falling."""
    return sorted({sigma for sigma in sigmas if sigma > 0}, reverse=True)


def theirs(name, sigmas, scaled, eta=None, **options):
    """The states after each step, as x / a; `scaled`: the scheduler itself holds x / a."""
    import importlib

    made = scheduler(name, sigmas, scaled, **options)
    module = importlib.import_module(type(made).__module__)
    state = torch.tensor([[START]], dtype=torch.float64) * (1.0 if not scaled else 1.0 / kept(sigmas[0]))
    index, states = 0, []
    # Noise is drawn by this function alone; here it is ours.
    module.randn_tensor = lambda shape, **_: torch.full(shape, noise_at(index), dtype=torch.float64)
    levels = [float(sigma) for sigma in made.sigmas] if scaled or len(made.sigmas) == STEPS + 1 else sigmas
    for index, t in enumerate(made.timesteps):
        sigma, sigma_next = levels[index], levels[index + 1]
        if name == "HeunDiscreteScheduler":
            # The slope is asked for at the end of the step, second: there the state is at the next level.
            sigma = levels[index + 1] if index % 2 == 1 else levels[index]
            sigma_next = levels[index + 1]
        y = float(state) / (1.0 if scaled else kept(sigma))
        eps = torch.tensor([[(y - x0_at(y, sigma)) / sigma]], dtype=torch.float64)
        more = {} if eta is None else {"eta": eta}
        state = made.step(eps, t, state, **more).prev_sample
        states.append(float(state) / (1.0 if scaled else kept(sigma_next)))
    return states


CASES = [
    ("ddim, eta 0", {"kind": "ddim", "eta": 0.0}, "DDIMScheduler", False, {"eta": 0.0, "clip_sample": False}),
    ("ddim, eta 1", {"kind": "ddim", "eta": 1.0}, "DDIMScheduler", False, {"eta": 1.0, "clip_sample": False}),
    ("ddpm", {"kind": "ddpm"}, "DDPMScheduler", False, {"clip_sample": False}),
    ("euler", {"kind": "euler"}, "EulerDiscreteScheduler", True, {}),
    ("euler-ancestral", {"kind": "euler-ancestral", "eta": 1.0}, "EulerAncestralDiscreteScheduler", True, {}),
    ("heun", {"kind": "heun"}, "HeunDiscreteScheduler", True, {}),
    ("dpmpp-2m", {"kind": "dpmpp-2m"}, "DPMSolverMultistepScheduler", False, {"solver_order": 2}),
    ("dpmpp-3m", {"kind": "dpmpp-3m"}, "DPMSolverMultistepScheduler", False, {"solver_order": 3}),
    ("dpmpp-3m, D2 halved", None, "DPMSolverMultistepScheduler", False, {"solver_order": 3}),
    ("unipc", {"kind": "unipc"}, "UniPCMultistepScheduler", False, {"solver_order": 2}),
]
FINAL = ["DPMSolverMultistepScheduler", "UniPCMultistepScheduler"]


def halved(schedule):
    """Our rows for order 3, with half of the last term of the expansion."""
    points = [(t, *(coefficients(schedule, t) if t > 0 else (1.0, 0.0))) for t in times(schedule, STEPS)]
    rows = list(solvers.dpmpp(points, 3))
    for i in range(2, STEPS - 2):
        h = solvers.log_ratio(points[i + 1]) - solvers.log_ratio(points[i])
        r0, r1 = [(solvers.log_ratio(points[i - k]) - solvers.log_ratio(points[i - k - 1])) / h for k in range(2)]
        phi_3 = ((math.exp(-h) - 1) / h + 1) / h - 0.5
        back = points[i + 1][1] * phi_3 / (r0 + r1)
        for term, weight in [(2, 1 / r0), (3, -1 / r0 - 1 / r1), (4, 1 / r1)]:
            rows[i][2 + term] += back * weight
    return rows


def main():
    with open("solvers.json") as file:
        goldens = json.load(file)
    print(f"{'sampler':22}{'scheduler of diffusers':36}{'variance kept':16}flow")
    for label, kind, name, scaled, options in CASES:
        options = dict(options)
        eta = options.pop("eta", None)
        if name in FINAL:
            options["final_sigmas_type"] = "zero"
        worst = {False: 0.0, True: 0.0}
        for schedule in SCHEDULES:
            sigmas = sigmas_of(schedule)
            wanted = kind and {**kind, "steps": STEPS}
            found = [g["rows"] for g in goldens if g["schedule"] == schedule.kind and g["sampler"] == wanted]
            rows = found[0] if kind else halved(schedule)
            pairs = zip(ours(schedule, rows), theirs(name, sigmas, scaled, eta, **options), strict=True)
            flow = isinstance(schedule, Flow)
            worst[flow] = max([worst[flow]] + [abs(y - other) * kept(level) for (y, level), other in pairs])
        print(f"{label:22}{name:36}{worst[False]:<16.1e}{worst[True]:.1e}")


if __name__ == "__main__":
    main()
