"""Cokriging against the prototype that it grew from, on the same splits: what the rest of it is worth.

    python benchmarks/against_prototype.py ../shared/data/her2st/C2 ../shared/data/mob/MOB1 --seeds 0 1 2

The prototype is ``both+factors`` of the reference numbers, written again with NumPy and SciPy alone and none of the
package's models or encoders: genes standardised, 30 principal components, one Gaussian process each. Its covariance is
the plain sum of two Matérn kernels of position and two kernels (RBF and linear) of simple statistics of the image at
three scales; the noise of each component is chosen by marginal likelihood. Splits, genes and scores are the same for
both. A random half of the spots are test spots; undefined correlations count 0. The last line is the mean over
sections.
"""

from __future__ import annotations

import numpy as np
from divided_section import arguments_of, divide, mean_pcc
from scipy.ndimage import uniform_filter
from scipy.spatial.distance import cdist

import histosge as hs

FACTORS, COMPONENTS, WIDTHS_PITCHES = 30, 30, (0.5, 1.0, 2.0)
NOISE_TO_SIGNAL = np.geomspace(1e-2, 1e4, 49)


def statistics(section: hs.Section) -> np.ndarray:
    """Return mean and standard deviation of colour and of edges around each spot, at three scales of the pitch."""
    assert section.slide is not None
    um_per_px = max(section.pitch_um / 32, section.slide.mpp)
    image = section.slide.thumbnail(um_per_px).astype(np.float64)
    planes = [*np.moveaxis(image, 2, 0), np.hypot(*np.gradient(image.mean(axis=2)))]
    column, row = np.floor(section.spots.xy / um_per_px).astype(int).T
    row, column = np.clip(row, 0, image.shape[0] - 1), np.clip(column, 0, image.shape[1] - 1)
    columns = []
    for width in WIDTHS_PITCHES:
        size = max(3, round(width * section.pitch_um / um_per_px))
        for plane in planes:
            mean, square = uniform_filter(plane, size), uniform_filter(plane**2, size)
            columns += [mean[row, column], np.sqrt(np.maximum(square - mean**2, 0.0))[row, column]]
    return np.stack(columns, axis=1)


def standardised(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return columns of mean 0 and variance 1 at ``rows``."""
    sd = values[rows].std(axis=0)
    return (values - values[rows].mean(axis=0)) / np.where(sd > 1e-8, sd, 1.0)


def covariance_of(section: hs.Section, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the covariance of all spots with the training spots."""
    xy = section.spots.xy / section.pitch_um
    ranges = (2.0, 8.0) if len(section) <= 1000 else (3.0, 12.0)
    distance = cdist(xy, xy[rows]) * 3**0.5
    matern = sum((1 + distance / length) * np.exp(-distance / length) for length in ranges)
    features = standardised(features, rows)
    axes = np.linalg.svd(features[rows], full_matrices=False)[2][:COMPONENTS]
    features = features @ axes.T
    squares = cdist(features, features[rows], "sqeuclidean")
    linear = features @ features[rows].T / np.mean(features[rows] ** 2) / features.shape[1]
    return np.asarray(matern + np.exp(-squares / np.median(squares)) + linear)


def prototype(expression: np.ndarray, covariance: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the prediction of the prototype at all spots, fitted to those of ``rows``."""
    target = expression[rows]
    mean, sd = target.mean(axis=0), target.std(axis=0)
    sd = np.where(sd > 1e-8, sd, 1.0)
    scaled = (target - mean) / sd
    loadings = np.linalg.svd(scaled, full_matrices=False)[2][:FACTORS]
    eigenvalues, eigenvectors = np.linalg.eigh(covariance[rows])
    eigenvalues = np.maximum(eigenvalues, 0.0)
    projections = eigenvectors.T @ (scaled @ loadings.T)
    # minus twice the log marginal likelihood of each factor, with its scale profiled out
    deviance = [
        len(rows) * np.log((projections**2 / (eigenvalues + ratio)[:, None]).sum(axis=0))
        + np.log(eigenvalues + ratio).sum()
        for ratio in NOISE_TO_SIGNAL
    ]
    ratio = NOISE_TO_SIGNAL[np.argmin(deviance, axis=0)]
    scores = covariance @ (eigenvectors @ (projections / (eigenvalues[:, None] + ratio)))
    return np.asarray(np.maximum(mean + scores @ loadings * sd, 0.0))


def compare(section: hs.Section, seed: int, compute: hs.Compute) -> list[float]:
    """Return correlation and error of the prototype, and of the default cokriging, on one split."""
    divided = divide(section, seed=seed, compute=compute)
    training, test = divided.study.training, divided.study.test
    covariance = covariance_of(section, statistics(section), training)
    simple = prototype(divided.expression.astype(np.float64), covariance, training)[test]
    full = divided.predict(hs.Recipe())
    truth = divided.truth.astype(np.float64)
    return [
        value
        for prediction in (simple, full)
        for value in (mean_pcc(truth, prediction), float(((prediction - truth) ** 2).mean()))
    ]


def main() -> None:
    arguments = arguments_of(__doc__, seeds=[0, 1, 2]).parse_args()
    print("| section | PCC prototype | PCC cokriging | gain | MSE prototype | MSE cokriging | ratio |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    gains = []
    for path in arguments.sections:
        section, compute = hs.read(path), hs.Compute(store=arguments.store)
        scores = [compare(section, seed, compute) for seed in arguments.seeds]
        simple, simple_mse, full, mse = np.mean(scores, axis=0)
        gain, ratio = full / simple - 1, mse / simple_mse
        gains.append((gain, ratio))
        cells = f"{simple:.4f} | {full:.4f} | {gain:+.1%} | {simple_mse:.4f} | {mse:.4f} | {ratio:.3f}"
        print(f"| {section.name} | {cells} |", flush=True)
    gain, ratio = np.mean(gains, axis=0)
    print(f"| mean | | | {gain:+.1%} | | | {ratio:.3f} |")


if __name__ == "__main__":
    main()
