"""Cokriging of 100 000 bins × 1000 genes, and the accuracy that inducing points cost where the exact fit is possible.

python benchmarks/scale.py [--bins 100000] [--genes 1000]
python benchmarks/scale.py --section SECTION
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from divided_section import divide, mean_pcc

import histosge as hs
from histosge._runtime.provenance import peak_memory_bytes
from histosge.geometry.points import Points
from histosge.models import build_model, predict
from histosge.section.inputs import Inputs, Samples

_BIN_UM = 16.0
# more spots than any section has: the exact fit
_ALL = 10**6


def random_bins(bins: int, genes: int, seed: int) -> Samples:
    """Return a square of bins: eight smooth factors drive Poisson counts and, with noise, the features."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(bins**0.5))
    xy = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)[:bins] * _BIN_UM
    waves = rng.normal(0, 1 / 300.0, (8, 12, 2))
    phase = rng.uniform(0, 2 * np.pi, (8, 12))
    factors = np.stack(
        [np.cos(xy @ wave.T + shift).mean(axis=1) * 3 for wave, shift in zip(waves, phase, strict=True)], 1
    )
    rates = np.exp(rng.normal(-1, 1, genes) + factors @ rng.normal(0, 0.4, (8, genes)))
    depth = rng.lognormal(6.5, 0.4, len(xy))
    counts = rng.poisson(rates / rates.sum(axis=1, keepdims=True) * depth[:, None]).astype(np.float32)
    total = np.maximum(counts.sum(axis=1), 1.0)
    features = factors @ rng.normal(0, 1, (8, 60)) + rng.normal(0, 1.0, (len(xy), 60))
    locations = hs.Locations(
        Points(xy, np.arange(len(xy)).astype(str), _BIN_UM),
        lattice_xy=xy / _BIN_UM,
        parent=np.arange(len(xy)),
        subspot=np.zeros(len(xy), dtype=np.intp),
        observed=np.ones(len(xy), bool),
        in_tissue=np.ones(len(xy), bool),
    )
    names = np.array([f"g{index}" for index in range(genes)])
    expression = np.log1p(counts / total[:, None] * 1e4)
    return Samples(Inputs(locations, features.astype(np.float32)), expression, names, total)


def time_bins(bins: int, genes: int) -> None:
    """Print time and memory of a fit to many bins."""
    samples = random_bins(bins, genes, 0)
    data_bytes, start = peak_memory_bytes(), time.perf_counter()
    predictor = build_model("cokriging").fit(samples)
    fitted = time.perf_counter()
    for _ in predictor.blocks(samples.inputs):
        pass
    end = time.perf_counter()
    print(f"{bins} bins × {genes} genes: fit {fitted - start:.0f} s, predict all {end - fitted:.0f} s")
    print(f"peak memory {peak_memory_bytes() / 1e9:.1f} GB, of which the data {data_bytes / 1e9:.1f} GB")
    print(f"leave-one-out correlation {predictor.summary()['r_loo']:.3f}")


def compare_inducing_points(path: Path) -> None:
    """Print accuracy and time of fits with fewer and fewer inducing points, at test spots of a section."""
    divided = divide(hs.read(path), seed=0)
    inputs = replace(divided.inputs, features=np.asarray(divided.inputs.features[:]))  # type: ignore[index]
    training, test = divided.study.training, divided.study.test
    samples = replace(divided.training, inputs=inputs.take(training))
    for number in (_ALL, 1000, 500, 250):
        model = build_model("cokriging", exact=_ALL if number == _ALL else 1, inducing_points=number)
        start = time.perf_counter()
        predictor = model.fit(samples)
        seconds = time.perf_counter() - start
        prediction = predict(predictor, inputs.take(test)).mean
        label = "exact" if number == _ALL else f"{number} inducing points"
        pcc, mse = mean_pcc(divided.truth, prediction), ((divided.truth - prediction) ** 2).mean()
        print(
            f"{path.name} {len(training)} spots, {label}: PCC {pcc:.4f}, MSE {mse:.4f}, fit {seconds:.1f} s"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bins", type=int, default=100_000)
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--section", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.section is not None:
        compare_inducing_points(arguments.section)
    else:
        time_bins(arguments.bins, arguments.genes)


if __name__ == "__main__":
    main()
