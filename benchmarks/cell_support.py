"""Cells as disks of their area against cells as points: accuracy at single cells, and how many genes a cell can tell.

python benchmarks/cell_support.py ../shared/data/xenium_breast_rep1 [--seeds 0 1 2] [--layouts visium]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from scipy.spatial import cKDTree
from scipy.stats import norm

import histosge as hs
from histosge.evaluation.fine_truth.pseudo_spots import pseudo_spots
from histosge.evaluation.fine_truth.read_truth import read_truth
from histosge.metrics.pearson import pearson
from histosge.section.expression import log_cp10k
from histosge.workflow.cell_scale import with_cell_scale
from histosge.workflow.encode import encode

_LEAST_MOLECULES, _QUADRANT = 10, 16


def main() -> None:
    """Print a line a layout, seed and support: mean over genes at all cells, and at the largest and smallest fifth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("truth", type=Path, help="folder with cells.csv.gz, which has area_um2, and he.png")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--layouts", nargs="+", default=["visium"])
    options = parser.parse_args()
    truth = read_truth(options.truth)
    area_um2 = pd.read_csv(options.truth / "cells.csv.gz", usecols=["area_um2"])["area_um2"].to_numpy()
    for layout in options.layouts:
        for seed in options.seeds:
            compare(truth, area_um2, layout, seed)


def compare(truth: object, area_um2: np.ndarray, layout: str, seed: int) -> None:
    """Fit one section, and score both supports."""
    spots = pseudo_spots(truth, layout, seed=seed)
    section, other = spots.section, spots.other_half
    molecules = np.asarray(other.counts.sum(axis=1)).ravel()
    near = cKDTree(section.spots.xy).query(other.points.xy)[0] <= spots.layout.pitch_um
    rows = np.flatnonzero((molecules >= _LEAST_MOLECULES) & near)
    xy_um, area_um2 = other.points.xy[rows], area_um2[rows]
    disks = shapely.buffer(shapely.points(xy_um), np.sqrt(area_um2 / np.pi), quad_segs=_QUADRANT)
    points = hs.at_cells(section, hs.Cells(other.points.ids[rows], xy_um))
    fit = hs.fit(section, hs.Recipe(genes="all"))
    counted = log_cp10k(other.counts, columns=section.columns(fit.genes)).toarray()[rows]
    large, small = area_um2 >= np.quantile(area_um2, 0.8), area_um2 <= np.quantile(area_um2, 0.2)
    parts = {"all": np.ones(len(rows), dtype=bool), "largest fifth": large, "smallest fifth": small}
    for name, locations in (
        ("centroids", points),
        ("disks of the area", replace(points, cells=replace(points.cells, outlines=disks))),
    ):
        prediction = hs.predict(fit, section, locations)
        inside = np.abs(counted - prediction.mean) <= norm.ppf(0.95) * prediction.sd
        scores = ", ".join(
            f"{part} {np.nanmean(pearson(prediction.mean[chosen], counted[chosen])):.5f}"
            for part, chosen in parts.items()
        )
        print(
            f"{layout}, seed {seed}, {name}: r at {len(rows)} cells: {scores}; coverage {inside.mean():.4f}"
        )
    inputs = encode(section, locations, needs=fit.model.needs, encoder=fit.encoder)
    judged, sentence = with_cell_scale(
        fit.predictor.factored(inputs), fit, section, inputs, compute=hs.Compute()
    )
    own = judged.basis.reliability_own
    print(
        f"{layout}, seed {seed}: {sentence} Reliability of what a cell differs by: {np.nanmean(own):.3f} in the mean"
    )


if __name__ == "__main__":
    main()
