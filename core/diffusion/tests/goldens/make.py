"""Reference values of schedules, sampler tables and noise, in plain float64 python.

Written from the papers' formulas, not from the Rust code, and in the plainest form of each: no rewriting against
cancellation, times by multiplication. Run `python3 make.py` in this folder; it writes the .json files beside it.

Schedules: Song et al. 2021, "Score-based generative modeling through SDEs", eq. (29), (32);
           Nichol and Dhariwal 2021, "Improved denoising diffusion", eq. (17);
           Rombach et al. 2022, latent diffusion models, arXiv 2112.10752 (scaled linear betas);
           Karras et al. 2022, "Elucidating the design space of diffusion-based generative models", eq. (5);
           Liu et al. 2023, "Flow straight and fast", eq. (1).
Samplers:  Song et al. 2021, "Denoising diffusion implicit models", eq. (12), (16);
           Euler-Maruyama on the reverse of dx = -beta/2 x dt + sqrt(beta) dW; all others are in solvers.py.
Noise:     Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox4x32-10); Box and Muller 1958.
           f32 results are written as the integers that hold their bits.
"""

import json
import math
import struct

import solvers

COSINE_T_MAX = 0.996


class VpLinear:
    kind = {"kind": "vp-linear", "beta_min": 0.1, "beta_max": 20.0}
    t_max = 1.0

    def alpha_bar(self, t):
        return math.exp(-0.5 * t * t * (20.0 - 0.1) - t * 0.1)

    def beta(self, t):
        return 0.1 + (20.0 - 0.1) * t


class Cosine:
    kind = {"kind": "cosine", "offset": 0.008}
    t_max = COSINE_T_MAX

    def alpha_bar(self, t):
        def f(u):
            return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

        return f(t) / f(0)

    def beta(self, t):
        return math.pi / 1.008 * math.tan((t + 0.008) / 1.008 * math.pi / 2)


class ScaledLinear:
    """Step k = 0 .. 999 of the chain is the time (k + 1) / 1000; log alpha_bar is linear between steps."""

    kind = {"kind": "scaled-linear", "beta_start": 0.00085, "beta_end": 0.012}
    t_max = 1.0

    def __init__(self):
        b0, b1 = math.sqrt(0.00085), math.sqrt(0.012)
        self.betas = [(b0 + k / 999 * (b1 - b0)) ** 2 for k in range(1000)]
        self.alpha_bars = [1.0]
        for beta in self.betas:
            self.alpha_bars.append(self.alpha_bars[-1] * (1 - beta))

    def step(self, t):
        return max(k for k in range(1000) if k == 0 or k / 1000 < t - 1e-9)

    def alpha_bar(self, t):
        k = self.step(t)
        share = t * 1000 - k
        return self.alpha_bars[k] ** (1 - share) * self.alpha_bars[k + 1] ** share

    def beta(self, t):
        return -1000 * math.log(1 - self.betas[self.step(t)])


class Karras:
    """sigma by eq. (5) with index (1 - t) (N - 1), from t = 0.001 to 1; linear in t below; x divided by c_in."""

    kind = {"kind": "karras", "sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0}
    t_max = 1.0

    def sigma(self, t):
        if t < 0.001:
            return 0.002 * t / 0.001
        down = (1 - t) / 0.999
        return (80 ** (1 / 7) + down * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7

    def coefficients(self, t):
        return 1 / math.sqrt(1 + self.sigma(t) ** 2), self.sigma(t) / math.sqrt(1 + self.sigma(t) ** 2)

    def beta(self, t):
        # d log(1 + sigma^2) / dt with dsigma/dt = 7 sigma^(6/7) times the slope of the root.
        slope = 7 * self.sigma(t) ** (6 / 7) * (80 ** (1 / 7) - 0.002 ** (1 / 7)) / 0.999
        if t < 0.001:
            slope = 0.002 / 0.001
        return 2 * self.sigma(t) * slope / (1 + self.sigma(t) ** 2)

    def times(self, steps):
        """The levels sigma_0 .. sigma_{N-1} of eq. (5), then 0."""
        if steps == 1:
            return [1.0, 0.0]
        return [0.001 + 0.999 * (1 - i / (steps - 1)) for i in range(steps)] + [0.0]


class Flow:
    kind = {"kind": "flow"}
    t_max = 0.999

    def coefficients(self, t):
        return 1 - t, t

    def beta(self, t):
        return 2 / (1 - t)

    def diffusion(self, t):
        # d(s^2)/dt + beta s^2
        return 2 * t + 2 / (1 - t) * t**2


def coefficients(schedule, t):
    if hasattr(schedule, "coefficients"):
        return schedule.coefficients(t)
    alpha_bar = schedule.alpha_bar(t)
    return math.sqrt(alpha_bar), math.sqrt(max(0.0, 1 - alpha_bar))


def diffusion(schedule, t):
    return schedule.diffusion(t) if hasattr(schedule, "diffusion") else schedule.beta(t)


def times(schedule, steps):
    if hasattr(schedule, "times"):
        return schedule.times(steps)
    return [schedule.t_max * k / steps for k in range(steps, -1, -1)]


def schedule_rows(schedule):
    rows = []
    for index in range(1, 100, 2):
        t = index / 100
        a, s = coefficients(schedule, t)
        rows.append([t, a, s, schedule.beta(t), math.log(a * a / (s * s)), diffusion(schedule, t)])
    return rows


def ddim(schedule, steps, eta):
    rows = []
    for k in range(steps, 0, -1):
        t, u = schedule.t_max * k / steps, schedule.t_max * (k - 1) / steps
        (a, s), (a_u, s_u) = coefficients(schedule, t), coefficients(schedule, u)
        if k == 1:
            a_u, s_u = 1.0, 0.0
        # sigma^2 of eq. (16), with alpha = a^2.
        sigma = eta * math.sqrt(s_u**2 / s**2) * math.sqrt(1 - a**2 / a_u**2)
        # x_u = a_u x0 + direction * (x - a x0) / s + sigma xi
        direction = math.sqrt(max(0.0, s_u**2 - sigma**2))
        rows.append([t, u, direction / s, a_u - direction * a / s, sigma])
    return rows


def euler_maruyama(schedule, steps):
    rows = []
    dt = schedule.t_max / steps
    for k in range(steps, 0, -1):
        t = schedule.t_max * k / steps
        a, s = coefficients(schedule, t)
        beta = schedule.beta(t)
        # x + dt (beta/2 x + beta score) + sqrt(beta dt) xi,  score = -(x - a x0) / s^2
        x = 1 + dt * beta / 2 - dt * beta / s**2
        denoised = dt * beta * a / s**2
        rows.append([t, schedule.t_max * (k - 1) / steps, x, denoised, math.sqrt(beta * dt) if k > 1 else 0.0])
    return rows


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def fnv1a(name):
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def normal_bits(seed, row, stream, step, count):
    name = fnv1a(stream)
    low, high = lambda v: v & 0xFFFFFFFF, lambda v: v >> 32
    k0, k1, c2, c3 = philox([low(row), high(row), low(name), high(name)], [low(seed), high(seed)])
    bits = []
    for block in range((count + 3) // 4):
        words = philox([block, step, c2, c3], [k0, k1])
        for first, second in [words[:2], words[2:]]:
            radius = math.sqrt(-2 * math.log((first + 0.5) / 2**32))
            angle = 2 * math.pi * ((second + 0.5) / 2**32)
            for value in [radius * math.cos(angle), radius * math.sin(angle)]:
                bits.append(struct.unpack("<I", struct.pack("<f", value))[0])
    return bits[:count]


def noise_cases():
    cases = [(0, 0, "a", 0), (7, 42, "latent", 1), (2**64 - 1, 2**63 + 5, "another stream", 2**32 - 1)]
    return [
        # As strings: a JSON number need not hold 64 bits.
        {"seed": str(seed), "row": str(row), "stream": stream, "step": step,
         "bits": normal_bits(seed, row, stream, step, 62)}
        for seed, row, stream, step in cases
    ]


def rounded(value):
    """Twelve digits: the tests compare to 1e-10."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(part) for part in value]
    return float(f"{value:.12g}") if isinstance(value, float) else value


def write(name, value):
    with open(name, "w") as file:
        json.dump(rounded(value), file, separators=(",", ":"))
        file.write("\n")


def main():
    schedules = [VpLinear(), Cosine(), ScaledLinear(), Karras(), Flow()]
    write(
        "schedules.json",
        {
            "columns": ["t", "signal", "noise", "beta", "log_snr", "diffusion"],
            "schedules": [{"schedule": s.kind, "rows": schedule_rows(s)} for s in schedules],
        },
    )
    tables = []
    for schedule in schedules[:2]:
        for steps, eta in [(1, 0.0), (10, 0.0), (50, 0.0), (10, 0.5), (10, 1.0)]:
            sampler = {"kind": "ddim", "steps": steps, "eta": eta}
            tables.append({"schedule": schedule.kind, "sampler": sampler, "rows": ddim(schedule, steps, eta)})
        for steps in [25, 100]:
            sampler = {"kind": "euler-maruyama", "steps": steps}
            tables.append({"schedule": schedule.kind, "sampler": sampler, "rows": euler_maruyama(schedule, steps)})
    write("samplers.json", {"columns": ["t", "t_next", "x", "denoised", "noise"], "tables": tables})
    write("solvers.json", solvers.tables(schedules, coefficients, diffusion, times))
    write("noise.json", noise_cases())


if __name__ == "__main__":
    main()
