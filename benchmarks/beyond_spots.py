"""What is stated beyond the measured spots, and what is true there: a third of a section is hidden and predicted.

    python benchmarks/beyond_spots.py ../shared/data/crc16 ../shared/data/mob/MOB1 [--sides west]

For each distance from the spots that were fitted: correlation over spots, mean over genes; the share of the variance of
mean expression that is stated and the one that was found; and how many measurements lie in intervals of 90 %, by the
posterior alone (before) and with the errors of left-out halves (after). Hidden counts choose no genes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

import histosge as hs
from histosge.metrics.pearson import pearson
from histosge.prediction.factored import FactoredPrediction
from histosge.section.expression import log_cp10k
from histosge.section.locations import Locations, at_spots
from histosge.workflow.beyond_spots import with_error_away
from histosge.workflow.encode import encode

_EDGES_PITCHES = (0.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_LEAST = 15
_Z90 = 1.645


def sides(xy_um: np.ndarray, names: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield a name and which spots are hidden: the third of them at one side."""
    for name in names:
        axis, sign = {"west": (0, 1), "east": (0, -1), "north": (1, 1), "south": (1, -1)}[name]
        at = sign * xy_um[:, axis]
        yield name, at < np.quantile(at, 1 / 3)


def hidden_locations(section: hs.Section, kept: hs.Section, hidden: np.ndarray) -> Locations:
    """Return the hidden spots as locations of the section without them."""
    there = at_spots(section).take(hidden)
    return replace(
        there,
        parent=cKDTree(kept.spots.xy).query(there.xy)[1],
        observed=np.zeros(len(there), dtype=bool),
    )


def coverage_and_shares(
    prediction: FactoredPrediction, truth: np.ndarray, rows: np.ndarray, signal: float
) -> tuple[float, float, float]:
    """Return, over the spots ``rows``: coverage of 90 %, stated share and found share of the variance of expression."""
    genes = np.arange(len(prediction.basis))
    part, error = prediction.take(rows), truth[rows]
    error = error - part.means(genes)
    sd = part.whole(observation=True).sd
    noise = prediction.basis.noise_sd**2
    unknown = float(((error**2).mean(axis=0) - noise).sum()) / signal
    loadings = np.asarray(prediction.basis.loadings, dtype=np.float64)
    stated = float((part.score_sd.astype(np.float64) ** 2 @ (loadings**2).T).mean(axis=0).sum()) / signal
    return float((np.abs(error) <= _Z90 * sd).mean()), 1 - stated, 1 - unknown


def table(path: Path, genes: str, names: list[str], store: Path) -> None:
    """Print a row for each distance, over all sides."""
    section, compute = hs.read(path), hs.Compute(store=store)
    rows: dict[float, list[tuple[float, ...]]] = {}
    seconds = []
    for _, hidden in sides(section.spots.xy, names):
        kept = section.take(~hidden)
        fit = hs.fit(kept, hs.Recipe(genes=genes), compute=compute)
        there = hidden_locations(section, kept, np.flatnonzero(hidden))
        inputs = encode(kept, there, needs=fit.model.needs, encoder=fit.encoder, compute=compute)
        before = fit.predictor.factored(fit.inputs(inputs))
        start = time.process_time()
        after, _ = with_error_away(before, fit, kept, compute)
        seconds.append(time.process_time() - start)
        truth = log_cp10k(section.counts[hidden], columns=section.columns(before.genes)).toarray()
        own = log_cp10k(kept.counts, columns=section.columns(before.genes)).toarray()
        signal = float(np.maximum(own.var(axis=0) - before.basis.noise_sd**2, 0).sum())
        distance = there.distance_um(kept.spots) / kept.pitch_um
        mean = before.means(np.arange(len(before.basis)))
        for low, high in pairwise(_EDGES_PITCHES):
            inside = np.flatnonzero((distance > low) & (distance <= high))
            if len(inside) >= _LEAST:
                r = float(np.nanmean(pearson(truth[inside], mean[inside])))
                old, new = (coverage_and_shares(part, truth, inside, signal) for part in (before, after))
                rows.setdefault(low, []).append((len(inside), r, old[2], old[1], new[1], old[0], new[0]))
    for low, high in pairwise(_EDGES_PITCHES):
        if low in rows:
            parts = np.array(rows[low])
            mean = np.average(parts, axis=0, weights=parts[:, 0])
            shares = " | ".join(f"{value:.2f}" for value in mean[2:])
            print(
                f"| {path.name} | {low:g} to {high:g} | {parts[:, 0].sum():.0f} | {mean[1]:.3f} | {shares} |",
                flush=True,
            )
    print(f"  {path.name}: {np.mean(seconds):.0f} s of processor time for the errors of a fit", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="+", type=Path)
    parser.add_argument("--genes", default="hvg:300")
    parser.add_argument("--sides", nargs="+", default=["west", "east", "north", "south"])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| section | pitches away | spots | r | found | stated before | after | in 90 % before | after |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as store:
        for path in arguments.sections:
            table(path, arguments.genes, arguments.sides, Path(store))


if __name__ == "__main__":
    main()
