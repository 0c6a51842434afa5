"""What stEnTrans makes of a smooth synthetic field of which every second row and column is fitted.

python benchmarks/lattice_doubling.py [--side 28] [--genes 300] [--epochs 30] [--times 1]

Each gene is a sum of twelve waves, the same for all, and noise. The mean correlation of the genes at positions that are
not fitted stands beside that of the nearest fitted position. `--times 20` multiplies all values: those of log1p(CP10k)
are as large as the position code that the network adds to them, raw counts, which its authors give it, are larger.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from histosge.geometry.points import Points
from histosge.metrics.pearson import pearson
from histosge.models import build_model, predict
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import Locations

WAVES = 12


def main() -> None:
    """Fit a quarter of the positions, and print both correlations at the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=28)
    parser.add_argument("--genes", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--times", type=float, default=1.0, help="all values are multiplied by this")
    options = parser.parse_args()
    samples = field(options.side, options.genes)
    samples = replace(samples, expression=options.times * samples.expression)
    xy = samples.inputs.locations.lattice_xy
    fitted = np.flatnonzero((xy % 2 == 0).all(axis=1))
    others = np.setdiff1d(np.arange(len(xy)), fitted)
    predictor = build_model("stentrans", epochs=options.epochs).fit(samples.take(fitted))
    nearest = samples.expression[fitted][cKDTree(xy[fitted]).query(xy[others])[1]]
    truth = samples.expression[others]
    print("| the lattice is doubled | r |\n|---|--:|")
    for name, quarters in (("in quarters", True), ("as a whole", False)):
        summary = dict(predictor.summary()) | {"quarters": quarters}
        predicted = predict(replace(predictor, fit_summary=summary), samples.inputs.take(others)).mean
        print(f"| {name} | {pearson(truth, predicted).mean():.3f} |")
    print(f"| the nearest position | {pearson(truth, nearest).mean():.3f} |")


def field(side: int, genes: int) -> Samples:
    """Return side × side positions, 100 µm apart."""
    number = np.arange(side**2)
    xy = np.stack([number % side, number // side], axis=1).astype(np.float64)
    rng = np.random.default_rng(0)
    waves = [
        np.sin(xy @ rng.normal(size=2) * 3 * np.pi / side + rng.uniform(0, 2 * np.pi)) for _ in range(WAVES)
    ]
    level = rng.gamma(2.0, size=genes)
    values = level + 0.15 * np.stack(waves, axis=1) @ rng.normal(size=(WAVES, genes))
    expression = np.maximum(values + 0.1 * rng.normal(size=values.shape), 0)
    everywhere = np.ones(len(xy), dtype=bool)
    points = Points(100 * xy, number.astype(str), 55.0)
    locations = Locations(points, xy, number, np.zeros_like(number), everywhere, everywhere)
    names = np.array([f"gene{index}" for index in range(genes)])
    return Samples(Inputs(locations), expression, names, np.ones(len(xy)))


if __name__ == "__main__":
    main()
