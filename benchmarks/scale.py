"""Cokriging of very many bins, and the accuracy that inducing points cost where the exact fit is possible.

python benchmarks/scale.py [--bins 100000] [--genes 1000] [--streamed]
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
from scipy import sparse

import histosge as hs
from histosge._runtime.provenance import peak_memory_bytes
from histosge.geometry.points import Points
from histosge.models import build_model, predict
from histosge.section.expression import depth as depth_of
from histosge.section.expression import log_cp10k
from histosge.section.inputs import Inputs, Samples

_BIN_UM = 16.0
# of 1000 genes in a bin of 8 µm, of 150 to 300 over all
_HD_MOLECULES = 100.0
# standard deviations of an interval of 90 %
_OF_NINETY = 1.645
# more spots than any section has: the exact fit
_ALL = 10**6


def random_bins(bins: int, genes: int, seed: int) -> Samples:
    """Return a square of bins with dense expression; see :func:`sparse_bins`."""
    return sparse_bins(bins, genes, seed, molecules=665.0).dense()


def sparse_bins(bins: int, genes: int, seed: int, *, molecules: float) -> Samples:
    """Return a square of bins: eight smooth factors drive Poisson counts and, with noise, the features.

    Expression is sparse; ``molecules`` is the median of a bin over these genes.
    """
    rng = np.random.default_rng(seed)
    side = int(np.ceil(bins**0.5))
    xy = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)[:bins] * _BIN_UM
    waves = rng.normal(0, 1 / 300.0, (8, 12, 2))
    phase = rng.uniform(0, 2 * np.pi, (8, 12))
    factors = np.stack(
        [np.cos(xy @ wave.T + shift).mean(axis=1) * 3 for wave, shift in zip(waves, phase, strict=True)], 1
    )
    level, slopes = rng.normal(-1, 1, genes), rng.normal(0, 0.4, (8, genes))
    depth = rng.lognormal(np.log(molecules), 0.4, len(xy))
    parts = []
    for rows in np.array_split(np.arange(len(xy)), max(1, len(xy) // 10_000)):
        rates = np.exp(level + factors[rows] @ slopes)
        rates *= (depth[rows] / rates.sum(axis=1))[:, None]
        parts.append(sparse.csr_matrix(rng.poisson(rates).astype(np.float32)))
    counts = sparse.csr_matrix(sparse.vstack(parts))
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
    inputs = Inputs(locations, features.astype(np.float32))
    return Samples(inputs, log_cp10k(counts), names, depth_of(counts))


def clock() -> tuple[float, float]:
    """Return seconds by the clock, and seconds of all processors together."""
    return time.perf_counter(), time.process_time()


def time_bins(bins: int, genes: int, *, streamed: bool, inducing_points: int, nearest_spots: int) -> None:
    """Print time and memory of a fit to many bins, and of predicting them all."""
    samples = sparse_bins(bins, genes, 0, molecules=_HD_MOLECULES if streamed else 665.0)
    samples = samples if streamed else samples.dense()
    print(f"{bins} bins × {genes} genes, {samples.expression.size / bins:.0f} values a bin")
    data_bytes, start = peak_memory_bytes(), clock()
    limit = 1 if streamed else _ALL
    model = build_model(
        "cokriging", streamed=limit, inducing_points=inducing_points, nearest_spots=nearest_spots
    )
    predictor = model.fit(samples)
    fitted, fit_bytes = clock(), peak_memory_bytes()
    print(f"fit {fitted[0] - start[0]:.0f} s ({fitted[1] - start[1]:.0f} s of processors)", flush=True)
    predictor.factored(samples.inputs)
    end = clock()
    print(f"predict all {end[0] - fitted[0]:.0f} s ({end[1] - fitted[1]:.0f} s of processors)")
    print(
        f"peak memory {peak_memory_bytes() / 1e9:.2f} GB, of the fit {fit_bytes / 1e9:.2f} GB, "
        f"of the data {data_bytes / 1e9:.2f} GB"
    )
    print(f"leave-one-out correlation {predictor.summary()['r_loo']:.3f}")


def compare_inducing_points(path: Path) -> None:
    """Print accuracy and time of fits with fewer and fewer inducing points, at test spots of a section."""
    divided = divide(hs.read(path), seed=0)
    inputs = replace(divided.inputs, features=np.asarray(divided.inputs.features[:]))  # type: ignore[index]
    training, test = divided.study.training, divided.study.test
    samples = replace(divided.training, inputs=inputs.take(training))
    for number in (_ALL, 1000, 500, 250):
        for streamed in (_ALL, 1):
            exact = _ALL if number == streamed == _ALL else 1
            model = build_model(
                "cokriging", exact=exact, inducing_points=number, streamed=streamed, nearest_spots=0
            )
            start = time.process_time()
            predictor = model.fit(samples)
            seconds = time.process_time() - start
            prediction = predict(predictor, inputs.take(test))
            label = "exact" if number == _ALL else f"{number} inducing points"
            label += ", streamed" if streamed == 1 else ""
            error = divided.truth - prediction.mean
            sd = np.maximum(prediction.sd, 1e-9)  # type: ignore[arg-type]
            covered = (np.abs(error) <= _OF_NINETY * sd).mean()
            print(
                f"{path.name} {len(training)} spots, {label}: PCC {mean_pcc(divided.truth, prediction.mean):.4f}, "
                f"MSE {(error**2).mean():.4f}, coverage {covered:.4f}, sd {sd.mean():.4f}, fit {seconds:.1f} s",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bins", type=int, default=100_000)
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--inducing-points", type=int, default=2000)
    parser.add_argument("--nearest-spots", type=int, default=16)
    parser.add_argument("--section", type=Path)
    parser.add_argument("--streamed", action="store_true", help="sparse counts of the depth of Visium HD")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.section is not None:
        compare_inducing_points(arguments.section)
    else:
        time_bins(
            arguments.bins,
            arguments.genes,
            streamed=arguments.streamed,
            inducing_points=arguments.inducing_points,
            nearest_spots=arguments.nearest_spots,
        )


if __name__ == "__main__":
    main()
