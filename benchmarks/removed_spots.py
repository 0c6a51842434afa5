"""What models predict at spots they have not seen: half of the spots removed at random.

    python benchmarks/removed_spots.py ../shared/data/crc16 --models kriging histosge histosge:published --seeds 0 1 2

Genes are chosen on the retained spots; the mean Pearson correlation over genes counts undefined ones as 0. ``all`` is
the published protocol: it pools retained and removed spots and drops undefined genes, and is shown only to show what
it is worth. ``--epochs`` shortens the published presets, which ask for 1000.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import histosge
from histosge.models import build_model, predict
from histosge.section import splits
from histosge.section.genes import select
from histosge.section.locations import at_spots
from histosge.section.multi_section import samples_of
from histosge.workflow.encode import encode, encoder_for


def correlations(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Pearson's r of each column; NaN where one side is constant."""
    found, truth = found.astype(np.float64), truth.astype(np.float64)
    a, b = found - found.mean(0), truth - truth.mean(0)
    scale = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 1e-9, (a * b).sum(0) / scale, np.nan)


def score(section: histosge.Section, word: str, seed: int, arguments: argparse.Namespace) -> list[float]:
    name, _, preset = word.partition(":")
    options = {"epochs": arguments.epochs} if preset in ("published", "paper") and arguments.epochs else {}
    model = build_model(name, preset or None, **options)
    compute = histosge.Compute(store=arguments.store)
    split = splits.random(len(section), seed=seed)
    panel = select(section, rows=split.training)
    encoder = encoder_for(section, histosge.Recipe(), needs=model.needs, compute=compute)
    samples = samples_of(
        section,
        panel,
        encode(section, at_spots(section), needs=model.needs, encoder=encoder, compute=compute),
    )
    if arguments.project and samples.inputs.features is not None and preset in ("published", "paper"):
        # as wide as UNI, from the same statistics: the published network's size depends on its input's
        plain = np.asarray(samples.inputs.features[np.arange(len(samples))])
        plain = (plain - plain.mean(0)) / np.maximum(plain.std(0), 1e-6)
        turn = np.random.default_rng(0).normal(size=(plain.shape[1], 1024)) / plain.shape[1] ** 0.5
        wide = (plain @ turn).astype(np.float32)
        samples = replace(samples, inputs=replace(samples.inputs, features=wide))
    start = time.perf_counter()
    predictor = model.fit(samples.take(split.training), seed=seed)
    seconds = time.perf_counter() - start
    found = predict(predictor, samples.inputs).mean
    test = correlations(found[split.test], samples.expression[split.test])
    pooled = correlations(found, samples.expression)
    error = float(((found - samples.expression)[split.test] ** 2).mean())
    counted = np.nan_to_num(test)
    return [
        counted.mean(),
        np.sort(counted)[-50:].mean(),
        error,
        np.isnan(test).mean(),
        np.nanmean(pooled),
        seconds,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="+", type=Path)
    parser.add_argument("--models", nargs="+", default=["mean", "idw", "kriging", "ridge", "histosge"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int)
    parser.add_argument(
        "--project", action="store_true", help="1024 random projections for published and paper"
    )
    parser.add_argument("--store", type=Path, help="folder for features")
    arguments = parser.parse_args()
    print(
        "section          model                  removed  top-50     MSE  undefined  all (in-sample)  fit s"
    )
    for path in arguments.sections:
        section = histosge.read(path)
        for word in arguments.models:
            rows = [score(section, word, seed, arguments) for seed in arguments.seeds]
            r, top, error, undefined, pooled, seconds = np.mean(rows, axis=0)
            print(
                f"{section.name:16s} {word:22s} {r:7.4f} {top:7.4f} {error:7.4f} {undefined:10.0%} {pooled:16.4f} "
                f"{seconds:6.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
