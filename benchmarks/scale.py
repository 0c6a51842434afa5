"""Cokriging of 100 000 bins × 1000 genes, and what landmarks cost in accuracy where both ways are possible.

python benchmarks/scale.py [--bins 100000] [--genes 1000] [--section SECTION]
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

import histosge
from histosge._runtime.provenance import peak_memory_bytes
from histosge.geometry.points import Points
from histosge.models import build_model, predict
from histosge.section import splits
from histosge.section.genes import select
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import Locations, at_spots
from histosge.section.multi_section import samples_of
from histosge.workflow.compute import Compute
from histosge.workflow.encode import encode, encoder_for
from histosge.workflow.recipe import Recipe

_BIN_UM = 16.0


def sheet(bins: int, genes: int, seed: int) -> Samples:
    """Make a square sheet of bins: eight smooth fields drive Poisson counts, and noisily the features."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(bins**0.5))
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)[:bins] * _BIN_UM
    waves = rng.normal(0, 1 / 300.0, (8, 12, 2))
    phase = rng.uniform(0, 2 * np.pi, (8, 12))
    fields = np.stack(
        [np.cos(grid @ wave.T + shift).mean(axis=1) * 3 for wave, shift in zip(waves, phase, strict=True)], 1
    )
    rates = np.exp(rng.normal(-1, 1, genes) + fields @ rng.normal(0, 0.4, (8, genes)))
    depth = rng.lognormal(6.5, 0.4, len(grid))
    counts = rng.poisson(rates / rates.sum(axis=1, keepdims=True) * depth[:, None]).astype(np.float32)
    total = np.maximum(counts.sum(axis=1), 1.0)
    features = fields @ rng.normal(0, 1, (8, 60)) + rng.normal(0, 1.0, (len(grid), 60))
    none = np.zeros(len(grid), dtype=np.intp)
    places = Locations(
        Points(grid, np.arange(len(grid)).astype(str), _BIN_UM),
        grid / _BIN_UM,
        np.arange(len(grid)),
        none,
        np.ones(len(grid), bool),
        np.ones(len(grid), bool),
    )
    names = np.array([f"g{index}" for index in range(genes)])
    return Samples(
        Inputs(places, features.astype(np.float32)), np.log1p(counts / total[:, None] * 1e4), names, total
    )


def correlation(one: np.ndarray, two: np.ndarray) -> float:
    one, two = one - one.mean(axis=0), two - two.mean(axis=0)
    size = np.sqrt((one**2).sum(axis=0) * (two**2).sum(axis=0))
    return float(np.divide((one * two).sum(axis=0), size, out=np.zeros(size.shape), where=size > 0).mean())


def large(bins: int, genes: int) -> None:
    samples = sheet(bins, genes, 0)
    before, start = peak_memory_bytes(), time.perf_counter()
    predictor = build_model("cokriging").fit(samples)
    fitted = time.perf_counter()
    for _ in predictor.blocks(samples.inputs):
        pass
    done = time.perf_counter()
    print(f"{bins} bins × {genes} genes: fit {fitted - start:.0f} s, predict all {done - fitted:.0f} s")
    print(f"peak memory {peak_memory_bytes() / 1e9:.1f} GB, of which the data {before / 1e9:.1f} GB")
    print(f"left-out correlation {predictor.summary()['r_loo']:.3f}")


def small(path: Path) -> None:
    section = histosge.read(path)
    model = build_model("cokriging")
    encoder = encoder_for(section, Recipe(), needs=model.needs, compute=Compute())
    inputs = encode(section, at_spots(section), needs=model.needs, encoder=encoder)
    inputs = replace(inputs, features=np.asarray(inputs.features[:]))
    split = splits.parse("random:0.5", section, 0)
    samples = samples_of(section, select(section, "hvg:1000", rows=split.training), inputs)
    truth = samples.expression[split.test]
    for inducing_points in (10**6, 1000, 500, 250):
        exact = 10**6 if inducing_points == 10**6 else 1
        start = time.perf_counter()
        fitted = build_model("cokriging", exact=exact, inducing_points=inducing_points).fit(
            samples.take(split.training)
        )
        seconds = time.perf_counter() - start
        found = predict(fitted, inputs.take(split.test)).mean
        name = "exact" if exact > 1 else f"{inducing_points} landmarks"
        pcc, mse = correlation(truth, found), ((truth - found) ** 2).mean()
        print(
            f"{section.name} {len(split.training)} spots, {name}: PCC {pcc:.4f}, MSE {mse:.4f}, fit {seconds:.1f} s"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bins", type=int, default=100_000)
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--section", type=Path)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    if asked.section is not None:
        small(asked.section)
    else:
        large(asked.bins, asked.genes)
