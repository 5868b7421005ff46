#!/usr/bin/env python3
"""Recomputes mixture.json as far as closed forms and the probability-flow ODE go, in Python's double precision.

`python3 tests/data/mixture.py` prints the largest differences from the file and fails if one is above its tolerance. It needs
the standard library alone and takes some seconds.

The end points under "k_diffusion", "k_diffusion_to_zero" and "convergence" are those of the functions `sample_NAME` of
k-diffusion, and those under "edm" those of Algorithm 2 of Karras et al. (2022), both run by PyTorch in double precision on
`denoise` below with `latents` times sigma_max as x, the sigmas of `levels`, and `noise(k)` in place of the k-th call of the random
generator. The versions of k-diffusion and PyTorch were not recorded.
"""
import json
import math
import pathlib

FILE = json.loads((pathlib.Path(__file__).parent / "mixture.json").read_text())
COMPONENTS = list(zip(FILE["mixture"]["weights"], FILE["mixture"]["means"], FILE["mixture"]["covariances"]))
SIGMA_MIN, SIGMA_MAX = 0.02, 20.0


def latents(i, j):
    return math.sqrt(2) * math.cos(1.3 * i + 0.7 * j + 0.2)


def noise(k, i, j):
    return math.sqrt(2) * math.sin(2.1 * i + 1.1 * j + 0.9 * k + 0.4)


def levels(n, rho=7.0):
    a, b = SIGMA_MAX ** (1 / rho), SIGMA_MIN ** (1 / rho)
    return [(a + i / (n - 1) * (b - a)) ** rho for i in range(n)]


def closed_form(z, alpha, sigma):
    """x̂ = E[x | z], the score, ε̂ = E[ε | z], ln p(z) and tr ∂x̂/∂z for z = α x + σ ε."""
    parts = []
    for weight, mean, ((a, b), (_, d)) in COMPONENTS:
        g = [z[0] - alpha * mean[0], z[1] - alpha * mean[1]]
        c = [alpha**2 * a + sigma**2, alpha**2 * b, alpha**2 * d + sigma**2]
        det = c[0] * c[2] - c[1] ** 2
        w = [(c[2] * g[0] - c[1] * g[1]) / det, (c[0] * g[1] - c[1] * g[0]) / det]
        x = [mean[0] + alpha * (a * w[0] + b * w[1]), mean[1] + alpha * (b * w[0] + d * w[1])]
        trace = (a * c[2] - 2 * b * c[1] + d * c[0]) / det
        log = math.log(weight) - math.log(2 * math.pi) - 0.5 * math.log(det) - 0.5 * (g[0] * w[0] + g[1] * w[1])
        parts.append((log, w, x, trace))
    most = max(part[0] for part in parts)
    total = sum(math.exp(part[0] - most) for part in parts)
    shares = [math.exp(part[0] - most) / total for part in parts]
    x = [sum(s * part[2][d] for s, part in zip(shares, parts)) for d in (0, 1)]
    score = [-sum(s * part[1][d] for s, part in zip(shares, parts)) for d in (0, 1)]
    spread = sum(s * sum((part[2][d] - x[d]) ** 2 for d in (0, 1)) for s, part in zip(shares, parts))
    trace = alpha * (sum(s * part[3] for s, part in zip(shares, parts)) + spread / sigma**2)
    return x, score, [-sigma * s for s in score], most + math.log(total), trace


def denoise(z, sigma):
    return closed_form(z, 1.0, sigma)[0]


def flow(z, start, end, steps=20000):
    """The flow dz/d ln σ = z − x̂ by the classical Runge–Kutta method, and the integral of its divergence."""
    h, u, gained = math.log(end / start) / steps, math.log(start), 0.0

    def slope(z, u):
        x, _, _, _, trace = closed_form(z, 1.0, math.exp(u))
        return z[0] - x[0], z[1] - x[1], 2.0 - trace

    for _ in range(steps):
        a = slope(z, u)
        b = slope([z[i] + h / 2 * a[i] for i in (0, 1)], u + h / 2)
        c = slope([z[i] + h / 2 * b[i] for i in (0, 1)], u + h / 2)
        d = slope([z[i] + h * c[i] for i in (0, 1)], u + h)
        change = [h / 6 * (a[i] + 2 * b[i] + 2 * c[i] + d[i]) for i in range(3)]
        z, u, gained = [z[0] + change[0], z[1] + change[1]], u + h, gained + change[2]
    return z, gained


def main():
    worst = {}

    def compare(name, ours, theirs, allowed):
        gap = abs(ours - theirs)
        worst[name] = max(worst.get(name, 0.0), gap)
        assert gap < allowed, f"{name}: {ours} and {theirs}"

    points = FILE["points"]
    for case in FILE["closed_forms"]:
        for i, z in enumerate(points):
            x, score, eps, log, _ = closed_form(z, case["alpha"], case["sigma"])
            for d in (0, 1):
                compare("closed forms", x[d], case["x"][i][d], 1e-12)
                compare("closed forms", score[d], case["score"][i][d], 1e-12)
                compare("closed forms", eps[d], case["eps"][i][d], 1e-12)
            compare("closed forms", log, case["log_density"][i], 1e-12)
    for i, end in enumerate(FILE["flow"]):
        z, _ = flow([SIGMA_MAX * latents(i, 0), SIGMA_MAX * latents(i, 1)], SIGMA_MAX, SIGMA_MIN)
        for d in (0, 1):
            compare("flow", z[d], end[d], 1e-10)
    for i, z in enumerate(points):
        end, gained = flow(z, SIGMA_MIN, SIGMA_MAX)
        prior = -0.5 * (end[0] ** 2 + end[1] ** 2) / SIGMA_MAX**2 - math.log(2 * math.pi * SIGMA_MAX**2)
        exact = closed_form(end, 1.0, SIGMA_MAX)[3]
        compare("likelihood", exact + gained, FILE["log_likelihood"]["exact"][i], 1e-10)
        compare("likelihood", prior + gained, FILE["log_likelihood"]["noise"][i], 1e-10)
    print("largest differences:", worst)


if __name__ == "__main__":
    main()
