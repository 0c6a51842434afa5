"""What a spot's own variation is worth in bins and cells within it and beside it, on spots of several layouts.

python benchmarks/microscale.py ../shared/data/xenium_breast_rep1 --layouts visium --seed 0 --bins 4000
python benchmarks/microscale.py ../shared/data/xenium_breast_rep1 --layouts legacy hexagonal:150:55 --seed 1 --bins 2500
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import histosge as hs
from histosge.evaluation.fine_truth.pseudo_spots import pseudo_spots
from histosge.evaluation.fine_truth.read_truth import read_truth
from histosge.evaluation.fine_truth.scales import ScaledTruth, scaled
from histosge.evaluation.fine_truth.scores import score_scale

ROWS = {
    "idw": hs.Recipe("idw", options={"neighbours": 6}, genes="all"),
    "cokriging, microscale=false": hs.Recipe("cokriging", options={"microscale": False}, genes="all"),
    "cokriging": hs.Recipe("cokriging", genes="all"),
}


def sample(truth: ScaledTruth, number: int) -> ScaledTruth:
    """Return some bins at random."""
    if len(truth) <= number:
        return truth
    rows = np.sort(np.random.default_rng(0).choice(len(truth), number, replace=False))
    per = len(truth.parts) // len(truth)
    return ScaledTruth(
        truth.scale,
        truth.xy_um[rows],
        truth.counts[rows],
        truth.parts.take((rows[:, None] * per + np.arange(per)).ravel()),
        bin_of_part=np.repeat(np.arange(number), per),
        zone=truth.zone[rows],
        nearest_um=truth.nearest_um[rows],
    )


def main() -> None:
    """Print mean correlations over genes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("truth", type=Path)
    parser.add_argument("--layouts", nargs="+", default=["visium"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bins", type=int, default=2500, help="scored at a scale, drawn at random")
    arguments = parser.parse_args()
    truth = read_truth(arguments.truth)
    for layout in arguments.layouts:
        spots = pseudo_spots(truth, layout, seed=arguments.seed)
        truths = [sample(scaled(spots, scale), arguments.bins) for scale in ("cells", 25.0, 50.0)]
        for name, recipe in ROWS.items():
            fitted = hs.fit(spots.section, recipe)
            for at in truths:
                prediction = hs.predict(fitted, spots.section, at.parts)
                scores = score_scale(at, prediction, spots.section.columns(prediction.genes))
                means = [
                    f"{zone} {np.nan_to_num(scores[zone, 'pcc']).mean():.4f}"
                    for zone in ("all", "inside", "between")
                ]
                covered = scores.get(("all", "coverage90"))
                coverage = "" if covered is None else f" coverage {np.nanmean(covered):.3f}"
                print(f"{layout}, {name}, {at.scale}: {' '.join(means)}{coverage}")


if __name__ == "__main__":
    main()
