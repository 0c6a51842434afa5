"""Cokriging against the few lines it grew from, on the same splits: what the rest of it is worth.

    python benchmarks/against_prototype.py ../shared/data/her2st/C2 ../shared/data/mob/MOB1 --seeds 0 1 2

The prototype is ``both+factors`` of the reference numbers, written again with NumPy and SciPy alone and none of the
package's models or encoders: genes standardised, 30 principal components, one Gaussian process each whose covariance
is the plain sum of two Matérn kernels of position and two kernels (likeness and slope) of cheap statistics of the
image at three scales; the noise of each by marginal likelihood. Splits, genes and scores are the same for both. Half
of the spots are removed at random and scored; undefined correlations count 0. The last lines are means over sections.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from removed_spots import correlations
from scipy.ndimage import uniform_filter
from scipy.spatial.distance import cdist

import histosge
from histosge.models import build_model, predict
from histosge.section import splits
from histosge.section.genes import select
from histosge.section.locations import at_spots
from histosge.section.multi_section import samples_of
from histosge.workflow.encode import encode, encoder_for

FACTORS, COMPONENTS, WINDOWS_PITCHES = 30, 30, (0.5, 1.0, 2.0)
RATIOS = np.geomspace(1e-2, 1e4, 49)


def statistics(section: histosge.Section) -> np.ndarray:
    """Return mean and standard deviation of colour and of edges around each spot, at three scales of the pitch."""
    assert section.slide is not None
    um_per_px = max(section.pitch_um / 32, section.slide.mpp)
    image = section.slide.thumbnail(um_per_px).astype(np.float64)
    planes = [*np.moveaxis(image, 2, 0), np.hypot(*np.gradient(image.mean(axis=2)))]
    column, row = np.floor(section.spots.xy / um_per_px).astype(int).T
    row, column = np.clip(row, 0, image.shape[0] - 1), np.clip(column, 0, image.shape[1] - 1)
    found = []
    for window in WINDOWS_PITCHES:
        size = max(3, round(window * section.pitch_um / um_per_px))
        for plane in planes:
            mean, square = uniform_filter(plane, size), uniform_filter(plane**2, size)
            found += [mean[row, column], np.sqrt(np.maximum(square - mean**2, 0.0))[row, column]]
    return np.stack(found, axis=1)


def standardised(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return columns of mean 0 and variance 1 at ``rows``."""
    sd = values[rows].std(axis=0)
    return (values - values[rows].mean(axis=0)) / np.where(sd > 1e-8, sd, 1.0)


def kernel(section: histosge.Section, seen: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the covariance of all spots with the retained ones."""
    xy = section.spots.xy / section.pitch_um
    ranges = (2.0, 8.0) if len(section) <= 1000 else (3.0, 12.0)
    distance = cdist(xy, xy[rows]) * 3**0.5
    total = sum((1 + distance / length) * np.exp(-distance / length) for length in ranges)
    look = standardised(seen, rows)
    turn = np.linalg.svd(look[rows], full_matrices=False)[2][:COMPONENTS]
    look = look @ turn.T
    squares = cdist(look, look[rows], "sqeuclidean")
    slope = look @ look[rows].T
    return np.asarray(
        total + np.exp(-squares / np.median(squares)) + slope / np.mean(look[rows] ** 2) / look.shape[1]
    )


def prototype(expression: np.ndarray, covariance: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return what the prototype says at all spots, fitted to those of ``rows``."""
    target = expression[rows]
    mean, sd = target.mean(axis=0), target.std(axis=0)
    sd = np.where(sd > 1e-8, sd, 1.0)
    scaled = (target - mean) / sd
    loadings = np.linalg.svd(scaled, full_matrices=False)[2][:FACTORS]
    power, turn = np.linalg.eigh(covariance[rows])
    power = np.maximum(power, 0.0)
    along = turn.T @ (scaled @ loadings.T)
    n = len(rows)
    fit = [
        n * np.log((along**2 / (power + r)[:, None]).sum(axis=0)) + np.log(power + r).sum() for r in RATIOS
    ]
    noise = RATIOS[np.argmin(fit, axis=0)]
    fields = covariance @ (turn @ (along / (power[:, None] + noise)))
    return np.asarray(np.maximum(mean + fields @ loadings * sd, 0.0))


def scores(found: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return mean correlation over genes, undefined ones 0, and mean squared error."""
    return float(np.nan_to_num(correlations(found, truth)).mean()), float(((found - truth) ** 2).mean())


def compare(section: histosge.Section, seed: int, compute: histosge.Compute) -> list[float]:
    """Return correlation and error of the prototype, and of cokriging as it comes, on one split."""
    model = build_model("cokriging")
    split = splits.random(len(section), seed=seed)
    encoder = encoder_for(section, histosge.Recipe(), needs=model.needs, compute=compute)
    inputs = encode(section, at_spots(section), needs=model.needs, encoder=encoder, compute=compute)
    samples = samples_of(section, select(section, rows=split.training), inputs)
    truth = np.asarray(samples.expression, dtype=np.float64)
    few = prototype(truth, kernel(section, statistics(section), split.training), split.training)
    whole = predict(model.fit(samples.take(split.training), seed=seed), samples.inputs).mean.astype(
        np.float64
    )
    return [value for found in (few, whole) for value in scores(found[split.test], truth[split.test])]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="+", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--store", type=Path, help="folder for features")
    arguments = parser.parse_args()
    print("| section | PCC prototype | PCC cokriging | gain | MSE prototype | MSE cokriging | ratio |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    gains = []
    for path in arguments.sections:
        section = histosge.read(path)
        compute = histosge.Compute(store=arguments.store)
        few, few_error, whole, error = np.mean(
            [compare(section, seed, compute) for seed in arguments.seeds], axis=0
        )
        gains.append((whole / few - 1, error / few_error))
        print(
            f"| {section.name} | {few:.4f} | {whole:.4f} | {gains[-1][0]:+.1%} | {few_error:.4f} | {error:.4f} "
            f"| {gains[-1][1]:.3f} |",
            flush=True,
        )
    gain, ratio = np.mean(gains, axis=0)
    print(f"| mean | | | {gain:+.1%} | | | {ratio:.3f} |")


if __name__ == "__main__":
    main()
