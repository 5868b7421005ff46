"""Reference tables of schedules, in double precision by plain products of 1 - beta.

`python3 schedules.py` computes alpha-bar of tables of 1,000 steps by the formulas of their papers (schedules.txt) and the linear
and cosine tables as improved-diffusion computes them (improved_diffusion.txt), and compares them with the two files beside it.
"""
import math
import pathlib


def products(betas):
    bars, bar = [], 1.0
    for beta in betas:
        bar *= 1.0 - beta
        bars.append(bar)
    return bars


def linspace(start, stop, steps):
    # Increments of a fixed step, as NumPy's linspace.
    rise = (stop - start) / (steps - 1)
    return [start + rise * i for i in range(steps - 1)] + [stop]


def from_bar(bar, steps, clip=0.999):
    return [min(1.0 - bar((i + 1) / steps) / bar(i / steps), clip) for i in range(steps)]


def sigmoid(x):
    return 1.0 / (1.0 + math.exp(-x))


def cosine(offset, exponent):
    return lambda t: max(math.cos(math.pi / 2 * (t + offset) / (1 + offset)), 0.0) ** exponent


def sigmoid_signal(start, end, tau):
    low, high = sigmoid(start / tau), sigmoid(end / tau)
    return lambda t: (high - sigmoid((start + t * (end - start)) / tau)) / (high - low)


def laplace(t, mean=0.0, scale=0.5):
    side = 0.5 - t
    inner = 1.0 - 2.0 * abs(side)
    if inner == 0.0:
        return 1.0 if side > 0 else 0.0
    return sigmoid(mean - scale * math.copysign(1.0, side) * math.log(inner))


T = 1000
TABLES = {
    "scaled-linear": [root**2 for root in linspace(0.00085**0.5, 0.012**0.5, T)],
    "sigmoid": [1e-4 + (0.02 - 1e-4) * sigmoid(x) for x in linspace(-6.0, 6.0, T)],
    "sigmoid-signal": from_bar(sigmoid_signal(-3.0, 3.0, 1.0), T),
    "sigmoid-signal 0 3 0.7": from_bar(sigmoid_signal(0.0, 3.0, 0.7), T),
    "laplace": from_bar(laplace, T),
    "polynomial": from_bar(lambda t: (1 - 2e-4) * (1 - t**2) ** 2 + 1e-4, T),
    "jsd": [min(1.0 / (T - i), 0.999) for i in range(T)],
    "constant": [0.01] * T,
    "sqrt": from_bar(lambda t: max(1 - math.sqrt(t + 1e-4), 0.0), T),
    "cosine 0.05 3 0.9": from_bar(cosine(0.05, 3.0), T, 0.9),
}


def tables():
    for name, betas in TABLES.items():
        bars = products(betas)
        for i in [1, 250, 500, 900, 1000]:
            yield [name, i, bars[i - 1]]


def improved():
    for name in ["linear", "cosine"]:
        for steps in [1000, 4000]:
            scale = 1000 / steps
            betas = linspace(scale * 0.0001, scale * 0.02, steps)
            if name == "cosine":
                bar = lambda t: math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
                betas = from_bar(bar, steps)
            bars = products(betas)
            for i in [0, 1, steps // 4, steps // 2, 3 * steps // 4, steps - 2, steps - 1]:
                before = bars[i - 1] if i > 0 else 1.0
                variance = betas[i] * (1.0 - before) / (1.0 - bars[i])
                yield [f"{name} {steps}", i, betas[i], bars[i], variance]
            yield [f"{name} {steps}", "sums", sum(betas), sum(bars)]


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    for rows, file in [(list(tables()), "schedules.txt"), (list(improved()), "improved_diffusion.txt")]:
        lines = [line.split(" | ") for line in (here / file).read_text().splitlines() if not line.startswith("#")]
        assert len(rows) == len(lines), file
        for row, line in zip(rows, lines):
            assert [str(x) for x in row[:2]] == line[:2], (file, row, line)
            for own, other in zip(row[2:], map(float, line[2:]), strict=True):
                assert abs(own - other) <= 1e-11 * abs(other), (file, row, line)
        print(f"{file}: {len(rows)} rows agree")
