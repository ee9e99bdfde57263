"""Reference sampler tables, in plain float64 python: each algorithm runs as its paper writes it, on values that remember
how they are made up of the table's terms. The coefficients of the table are read off at the end. `make.py` calls this.

ddim             Song et al. 2021, "Denoising diffusion implicit models", eq. (12), (16)
ddpm             Ho et al. 2020, "Denoising diffusion probabilistic models", eq. (6), (7), section 3.2
euler, heun      Karras et al. 2022, "Elucidating the design space", algorithm 1
euler-ancestral  the same with part of the level drawn afresh (Song et al. 2021, SDE, appendix F)
euler-maruyama   Song et al. 2021, "Score-based generative modeling through SDEs", eq. (6)
dpmpp-2m, -3m    Lu et al. 2023, "DPM-Solver++", algorithm 2; order 3 as the exact integral of the parabola
unipc            Zhao et al. 2023, "UniPC", algorithms 1, 2 for predicted data, order 2, B_2(h) = e^h - 1
"""

import math

TERMS = ["x", "saved", "denoised", "previous", "before", "noise"]


class Value:
    """A linear combination of terms."""

    def __init__(self, parts):
        self.parts = parts

    def __add__(self, other):
        names = set(self.parts) | set(other.parts)
        return Value({name: self.parts.get(name, 0.0) + other.parts.get(name, 0.0) for name in names})

    def __mul__(self, factor):
        return Value({name: part * factor for name, part in self.parts.items()})

    __rmul__ = __mul__

    def __sub__(self, other):
        return self + other * -1.0

    def __truediv__(self, divisor):
        return Value({name: part / divisor for name, part in self.parts.items()})

    def row(self):
        return [self.parts.get(name, 0.0) for name in TERMS]


X, SAVED, D, D1, D2, XI = (Value({name: 1.0}) for name in TERMS)


def step(t, u, following, save=None):
    """t, t_next, the terms of the next state, those of the saved state (noise excepted) or null."""
    return [t, u, *following.row(), save.row()[:5] if save else None]


def ddim(points, eta):
    for (t, a, s), (u, a_u, s_u) in zip(points, points[1:]):
        # For a^2 + s^2 = 1 this is s_u / s sqrt(1 - a^2 / a_u^2), eq. (16).
        sigma = eta * s_u / s * math.sqrt(max(0.0, s**2 - a**2 / a_u**2 * s_u**2))
        eps = (X - a * D) / s
        yield step(t, u, a_u * D + math.sqrt(max(0.0, s_u**2 - sigma**2)) * eps + sigma * XI)


def ddpm(points):
    for (t, a, s), (u, a_u, s_u) in zip(points, points[1:]):
        # alpha_t of the paper is (a / a_u)^2, beta_t the variance of x_t given x_u.
        root_alpha = a / a_u
        beta = s**2 - root_alpha**2 * s_u**2
        mean = a_u * beta / s**2 * D + root_alpha * s_u**2 / s**2 * X
        variance = s_u**2 / s**2 * beta
        yield step(t, u, mean + (math.sqrt(variance) if u > 0 else 0.0) * XI)


def euler(points, eta):
    for (t, a, s), (u, a_u, s_u) in zip(points, points[1:]):
        sigma, sigma_u = s / a, s_u / a_u
        up = min(sigma_u, eta * math.sqrt(sigma_u**2 * (sigma**2 - sigma_u**2) / sigma**2))
        down = math.sqrt(sigma_u**2 - up**2)
        y = X / a
        slope = (y - D) / sigma
        yield step(t, u, a_u * (y + (down - sigma) * slope + up * XI))


def euler_maruyama(points, schedule, diffusion):
    for (t, a, s), (u, _, _) in zip(points, points[1:]):
        dt, rate = t - u, diffusion(schedule, t)
        score = (X - a * D) * (-1 / s**2)
        noise = math.sqrt(rate * dt) if u > 0 else 0.0
        yield step(t, u, X + dt * (schedule.beta(t) / 2 * X + rate * score) + noise * XI)


def heun(points):
    for (t, a, s), (u, a_u, s_u) in zip(points, points[1:]):
        sigma, sigma_u = s / a, s_u / a_u
        y = X / a
        yield step(t, u, a_u * (y + (sigma_u - sigma) * (y - D) / sigma), X if u > 0 else None)
        if u > 0:
            y, y_u = SAVED / a, X / a_u
            slopes = (y - D1) / sigma + (y_u - D) / sigma_u
            yield step(u, u, a_u * (y + (sigma_u - sigma) * 0.5 * slopes))


def log_ratio(point):
    return math.log(point[1] / point[2])


def dpmpp(points, order):
    steps = len(points) - 1
    for i in range(steps):
        (t, _, s), (u, a_u, s_u) = points[i], points[i + 1]
        used = min(order, i + 1, steps - i)
        if used == 1:
            # e^-h = sigma_u / sigma, also where sigma_u = 0.
            decay = s_u / a_u / (s / points[i][1])
            yield step(t, u, s_u / s * X - a_u * (decay - 1) * D)
            continue
        h = log_ratio(points[i + 1]) - log_ratio(points[i])
        r0 = (log_ratio(points[i]) - log_ratio(points[i - 1])) / h
        phi_1 = math.exp(-h) - 1
        if used == 2:
            yield step(t, u, s_u / s * X - a_u * phi_1 * ((1 + 1 / (2 * r0)) * D - 1 / (2 * r0) * D1))
            continue
        r1 = (log_ratio(points[i - 1]) - log_ratio(points[i - 2])) / h
        first, second = (D - D1) / r0, (D1 - D2) / r1
        slope = first + r0 / (r0 + r1) * (first - second)
        # h^2 x0'': twice the divided difference.
        bend = 2 / (r0 + r1) * (first - second)
        phi_2 = phi_1 / h + 1
        phi_3 = phi_2 / h - 0.5
        yield step(t, u, s_u / s * X - a_u * phi_1 * D + a_u * phi_2 * slope - a_u * phi_3 * bend)


def unipc(points):
    steps = len(points) - 1
    for i in range(steps):
        (t, _, s), (u, a_u, s_u) = points[i], points[i + 1]
        corrected = X
        if i > 0:
            # From the point before; there m0 = D1, further back D2; the new value is D.
            _, a_i, s_i = points[i]
            h = log_ratio(points[i]) - log_ratio(points[i - 1])
            b = math.exp(-h) - 1
            if i == 1:
                residual = 0.5 * (D - D1)
            else:
                r = (log_ratio(points[i - 2]) - log_ratio(points[i - 1])) / h
                # [[1, 1], [r, 1]] rho = [b1, b2]
                phi = b / -h - 1
                b1 = phi / b
                b2 = (phi / -h - 0.5) * 2 / b
                rho = (b1 - b2) / (1 - r)
                residual = rho * (D2 - D1) / r + (b1 - rho) * (D - D1)
            corrected = s_i / points[i - 1][2] * SAVED - a_i * b * D1 - a_i * b * residual
        decay = s_u / a_u / (s / points[i][1])
        following = s_u / s * corrected - a_u * (decay - 1) * D
        if min(2, i + 1, steps - i) == 2:
            h = log_ratio(points[i + 1]) - log_ratio(points[i])
            r = (log_ratio(points[i - 1]) - log_ratio(points[i])) / h
            following = following - a_u * (decay - 1) * 0.5 * (D1 - D) / r
        yield step(t, u, following, corrected)


def cases(schedule, points, diffusion):
    """Pairs of a sampler's settings and its steps; `points` makes the points of so many steps."""
    for steps in [1, 2, 10]:
        yield {"kind": "heun", "steps": steps}, heun(points(steps))
        yield {"kind": "dpmpp-2m", "steps": steps}, dpmpp(points(steps), 2)
        yield {"kind": "dpmpp-3m", "steps": steps}, dpmpp(points(steps), 3)
        yield {"kind": "unipc", "steps": steps}, unipc(points(steps))
        yield {"kind": "euler", "steps": steps}, euler(points(steps), 0.0)
    for eta in [0.5, 1.0]:
        yield {"kind": "ddim", "steps": 10, "eta": eta}, ddim(points(10), eta)
        yield {"kind": "euler-ancestral", "steps": 10, "eta": eta}, euler(points(10), eta)
    yield {"kind": "ddpm", "steps": 10}, ddpm(points(10))
    yield {"kind": "euler-maruyama", "steps": 25}, euler_maruyama(points(25), schedule, diffusion)


def tables(schedules, coefficients, diffusion, times):
    tables = []
    for schedule in schedules:
        # At time 0 exactly nothing but signal.
        points = lambda steps: [(t, *(coefficients(schedule, t) if t > 0 else (1.0, 0.0))) for t in times(schedule, steps)]
        start = math.sqrt(sum(c**2 for c in coefficients(schedule, schedule.t_max)))
        for sampler, rows in cases(schedule, points, diffusion):
            tables.append({"schedule": schedule.kind, "sampler": sampler, "start_scale": start, "rows": list(rows)})
    return tables
