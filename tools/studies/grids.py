"""Whether freer levels earn their bits, on random numbers: mean squared error over mean square.
Two bits with three coefficients a group (m + b0 c0 + b1 c1) against four free levels; one, two and three trits a weight."""
import itertools

import numpy as np

PATTERNS = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]], float)
START = np.array([-1.51, -0.4528, 0.4528, 1.51])  # the best four levels of a Gaussian


def error(x, level):
    code = np.abs(x[:, :, None] - level[:, None, :]).argmin(2)
    return code, ((x - np.take_along_axis(level, code, 1)) ** 2).mean() / (x**2).mean()


def three_coefficients(x, code, level):
    rows = PATTERNS[code]
    gram = np.einsum("gni,gnj->gij", rows, rows) + 1e-9 * np.eye(3)
    return np.linalg.solve(gram, np.einsum("gni,gn->gi", rows, x)[..., None])[..., 0] @ PATTERNS.T


def four_levels(x, code, level):
    for k in range(4):
        chosen = code == k
        level[:, k] = np.where(chosen.any(1), (x * chosen).sum(1) / np.maximum(chosen.sum(1), 1), level[:, k])
    return level


def fitted(x, refit):
    """Nearest levels and what suits them best, in turn."""
    level = x.mean(1, keepdims=True) + START * x.std(1, keepdims=True)
    for _ in range(60):
        level = refit(x, error(x, level)[0], level)
    return error(x, level)[1]


def books(rng):
    print("| numbers | group | three coefficients | four levels | gain, dB | its 8 bits at 6.02 dB a bit, dB |\n|---|---:|---:|---:|---:|---:|")
    for name, draw in (("Gaussian", rng.standard_normal), ("Student t, 5", lambda size: rng.standard_t(5, size))):
        for group in (32, 64, 96, 128, 192):
            x = draw((256000 // group, group))
            a, b = fitted(x, three_coefficients), fitted(x, four_levels)
            print(f"| {name} | {group} | {a:.4f} | {b:.4f} | {10 * np.log10(a / b):.2f} | {6.02 * 8 / group:.2f} |")


def trits(rng):
    x = rng.standard_normal(50000)

    def of(level):
        edge = (level[1:] + level[:-1]) / 2
        return ((x - level[np.searchsorted(edge, x)]) ** 2).mean()

    print("| trits | levels | best scales | bits | mean squared error |\n|---:|---:|---|---:|---:|")
    ratios = np.arange(1.2, 4.01, 0.1)
    for count in (1, 2, 3):
        best = (np.inf,)
        for r in itertools.product(ratios, repeat=count - 1):
            scale = np.cumprod([1, *r])
            level = np.array(sorted({round(float(scale @ t), 9) for t in itertools.product((-1, 0, 1), repeat=count)}))
            for unit in np.linspace(0.05, 1.3, 126):
                best = min(best, (of(level * unit), len(level), [round(float(unit * s), 2) for s in scale]), key=lambda b: b[0])
        print(f"| {count} | {best[1]} | {', '.join(map(str, best[2]))} | {1.6 * count:.1f} | {best[0]:.4f} |")


books(np.random.default_rng(1))
print()
trits(np.random.default_rng(1))
