"""How far the mean of leave-one-out correlations is below that at new spots, on kriging of known signals.

    python benchmarks/left_out_correlation.py

Targets on half of the spots of a square lattice are kriged with a known covariance and noise-to-signal ratio, smooth
ones (Gaussian processes) and regions (disks). Printed: the mean over targets of r, leave-one-out and at the other half,
and r of the pooled moments, which are sums over targets of the covariance and of both variances.
"""

from __future__ import annotations

import argparse

import numpy as np

Array = np.ndarray
# ranges of the Matérn-3/2 kernels, pitches
RANGES = (2.0, 8.0)
TARGETS, LOOPS = 200, 40


def moments(left: Array, right: Array) -> Array:
    """Return the covariance and both variances of each target."""
    left, right = left - left.mean(axis=0), right - right.mean(axis=0)
    return np.stack([(left * right).mean(axis=0), (left**2).mean(axis=0), (right**2).mean(axis=0)])


def signals(kind: str, xy: Array, root: Array, rng: np.random.Generator) -> Array:
    """Return targets without noise, of unit variance."""
    if kind == "smooth":
        return root @ rng.normal(size=(len(xy), TARGETS))
    centre, radius = xy[rng.integers(len(xy), size=TARGETS)], rng.uniform(1.2, xy.max() / 3, size=TARGETS)
    inside = np.linalg.norm(xy[:, None] - centre, axis=2) < radius
    return inside / np.maximum(inside.std(axis=0), 1e-9)


def compared(kind: str, side: int, ratio: float, seed: int) -> Array:
    """Return moments at left-out spots and at the other half, 2 × 3 × targets."""
    rng = np.random.default_rng(seed)
    xy = np.array([(x, y) for x in range(side) for y in range(side)], dtype=np.float64)
    distance = np.linalg.norm(xy[:, None] - xy, axis=2)
    scaled = [3**0.5 * distance / length for length in RANGES]
    kernel = np.mean([(1 + part) * np.exp(-part) for part in scaled], axis=0)
    parts = []
    root = np.linalg.cholesky(kernel + 1e-8 * np.eye(len(xy)))
    for _ in range(LOOPS):
        true = signals(kind, xy, root, rng)
        measured = true + ratio**0.5 * rng.normal(size=true.shape)
        order = rng.permutation(len(xy))
        fitted, other = order[: len(order) // 2], order[len(order) // 2 :]
        n = len(fitted)
        inverse = np.linalg.inv(kernel[np.ix_(fitted, fitted)] + ratio * np.eye(n))
        centred = measured[fitted] - measured[fitted].mean(axis=0)
        diagonal, change = np.diag(inverse)[:, None], inverse.sum(axis=1)[:, None]
        # Eq. 12 of docs/method.md, with the mean of the other spots
        left_out = centred - inverse @ centred / diagonal + centred / (n - 1) * (1 - change / diagonal)
        there = kernel[np.ix_(other, fitted)] @ inverse @ centred
        parts.append([moments(measured[fitted], left_out), moments(measured[other], there)])
    return np.concatenate(parts, axis=2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sides", nargs="+", type=int, default=[12, 18])
    parser.add_argument("--ratios", nargs="+", type=float, default=[0.3, 1, 3, 10])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(
        "| targets | spots | noise / signal | mean r: left out / there | difference | pooled: left out / there |"
    )
    print("|---|--:|--:|--:|--:|--:|")
    for kind in ("smooth", "regions"):
        for side in arguments.sides:
            for ratio in arguments.ratios:
                parts = compared(kind, side, ratio, arguments.seed)
                # a region without a fitted spot has neither
                parts = parts[:, :, (parts[:, 1:] > 1e-12).all(axis=(0, 1))]
                r = (parts[:, 0] / np.sqrt(parts[:, 1] * parts[:, 2])).mean(axis=1)
                total = parts.mean(axis=2)
                pooled = total[:, 0] / np.sqrt(total[:, 1] * total[:, 2])
                cells = [kind, f"{side * side // 2}", f"{ratio:g}", f"{r[0]:.3f} / {r[1]:.3f}"]
                cells += [f"{r[0] - r[1]:+.3f}", f"{pooled[0]:.3f} / {pooled[1]:.3f}"]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
