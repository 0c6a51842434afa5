"""Predicted against realised reliability of disk means, by width: on synthetic tissue, and on single cells."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

import histosge as hs
from histosge.evaluation.fine_truth.pseudo_spots import pseudo_spots
from histosge.evaluation.fine_truth.read_truth import read_truth
from histosge.evaluation.fine_truth.truth import thinned
from histosge.metrics.pearson import pearson
from histosge.models.cokriging.disk_means import disk_points, disk_scores
from histosge.models.gene_order import as_fitted
from histosge.section.expression import depth, log_cp10k
from histosge.workflow.effective_resolution import WIDTHS_UM, _disk_inputs, effective_resolution

_DISKS, _LEAST_MOLECULES, _LEAST_RELIABILITY = 1000, 10, 0.1


def main() -> None:
    """Print a table a section: mean over genes of predicted and realised reliability."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("truths", nargs="+", help="synthetic, or a finer truth of cells")
    parser.add_argument("--models", nargs="+", default=["cokriging", "cokriging:positions"])
    parser.add_argument("--layouts", nargs="+", default=["visium", "legacy"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    for truth in options.truths:
        for layout in options.layouts:
            for seed in options.seeds:
                for model in options.models:
                    compare(truth, layout, seed, model)


def compare(truth: str, layout: str, seed: int, model: str) -> None:
    """Print the table of one fit."""
    recipe = hs.Recipe.parse(model, genes="all")
    if truth == "synthetic":
        square = {"lattice": "square", "columns": 14, "rows": 16} if layout == "legacy" else {}
        tissue = hs.synthetic(genes=60, seed=seed, support="disk", **square)
        section, name = tissue.section, f"synthetic {seed}"
        rng = np.random.default_rng(0)
        xy_um = section.spots.xy[rng.integers(len(section), size=_DISKS)]
        xy_um = xy_um + rng.uniform(-0.5, 0.5, xy_um.shape) * section.pitch_um
    else:
        cells = read_truth(Path(truth))
        spots = pseudo_spots(cells, layout, seed=seed)
        section, name = spots.section, f"{cells.name} {layout} {seed}"
        near = np.flatnonzero(cKDTree(section.spots.xy).query(cells.points.xy)[0] < section.pitch_um)
        xy_um = cells.points.xy[np.random.default_rng(5).choice(near, _DISKS, replace=False)]
    fit = hs.fit(section, recipe)
    locations = hs.at_cells(section, hs.Cells(np.arange(len(xy_um)).astype(str), xy_um))
    predicted = effective_resolution(fit, section, locations=locations)
    rows = []
    for width in WIDTHS_UM:
        inputs, disk = _disk_inputs(fit, section, locations, width, compute=hs.Compute())
        scores, _ = disk_scores(as_fitted(fit.predictor), inputs, disk)
        mean = scores @ fit.predictor.basis.loadings.T
        if truth == "synthetic":
            rows.append(realised_known(tissue, xy_um, width, mean, section.spots.diameter_um))
        else:
            rows.append(realised(spots.other_half, xy_um, width, mean, section.columns(fit.genes)))
    report(f"{name}, {model}", predicted, np.array(rows))


def realised_known(
    tissue: hs.datasets.synthetic.Synthetic, xy_um: np.ndarray, width: float, mean: np.ndarray, spot_um: float
) -> np.ndarray:
    """Return the squared correlation with the known mean over each disk."""
    shift, part_um = disk_points(width, spot_um)
    known = np.mean([tissue.truth(xy_um + step, part_um) for step in shift], axis=0)
    r = np.nan_to_num(pearson(known, mean))
    return np.where(r > 0, r**2, 0.0)


def realised(
    cells: object, xy_um: np.ndarray, width: float, mean: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Return the squared correlation with the molecules in each disk over their reliability, at equal depth."""
    units = cells.points.xy
    lists = cKDTree(units).query_ball_point(xy_um, max(width / 2, 5.0))
    members = sparse.csr_matrix(
        (
            np.ones(sum(map(len, lists))),
            (np.repeat(np.arange(len(lists)), list(map(len, lists))), np.concatenate(lists)),
        ),
        shape=(len(lists), len(units)),
    )
    counts = sparse.csr_matrix(members @ cells.counts)
    keep = np.flatnonzero(depth(counts) >= _LEAST_MOLECULES)
    counts, mean = counts[keep], mean[keep]
    first = thinned(counts, 0.5, np.random.default_rng(9))
    design = np.column_stack([np.ones(len(keep)), np.log(depth(counts))])
    whole, left, right = (
        log_cp10k(part, columns=columns).toarray()
        for part in (counts, first, sparse.csr_matrix(counts - first))
    )
    whole, left, right, mean = (
        part - design @ np.linalg.lstsq(design, part, rcond=None)[0] for part in (whole, left, right, mean)
    )
    half = np.nan_to_num(pearson(left, right))
    reliability = 2 * half / (1 + half)
    r = np.nan_to_num(pearson(whole, mean))
    squared = np.where(r > 0, r**2 - (1 - r**2) / len(keep), 0.0)
    return np.where(reliability > _LEAST_RELIABILITY, squared / np.maximum(reliability, 1e-9), np.nan)


def report(title: str, predicted: hs.EffectiveResolution, rows: np.ndarray) -> None:
    """Print a table: predicted and realised mean over genes by width, and their agreement over genes."""
    print(f"\n{title}\n| width µm | predicted | realised | difference | r over genes | genes |")
    print("|--:|--:|--:|--:|--:|--:|")
    for width, stated, known in zip(predicted.widths_um, predicted.reliability, rows, strict=True):
        both = np.isfinite(stated) & np.isfinite(known)
        a, b = stated[both], np.minimum(known[both], 1.0)
        r = np.corrcoef(a, b)[0, 1]
        print(
            f"| {width:g} | {a.mean():.3f} | {b.mean():.3f} | {a.mean() - b.mean():+.3f} | {r:.2f} | {both.sum()} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
