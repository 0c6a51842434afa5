"""Is kriging as good as it can be? Its ranges by marginal likelihood, other ranges, and inverse distances.

python benchmarks/kriging_ranges.py ../shared/data/xenium_breast_rep1 --layouts legacy visium
python benchmarks/kriging_ranges.py ../shared/data/her2st/C2 ../shared/data/mob/MOB1

Half of the spots are fitted, and r and the mean squared error are those of the other half; all genes of spots made of
cells, 1000 of a section.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import histosge as hs
from histosge.evaluation.fine_truth.pseudo_spots import pseudo_spots
from histosge.evaluation.fine_truth.read_truth import read_truth
from histosge.metrics.pearson import pearson
from histosge.models import build_model, predict
from histosge.section.genes import select
from histosge.section.inputs import Inputs
from histosge.section.multi_section import samples_of
from histosge.section.splits import random

RANGES = ((2.0, 8.0), (3.0, 12.0), (1.0, 4.0), (0.7, 4.0), (1.0, 8.0), (1.0, 16.0), (0.7, 1.5), (2.0,))
MODELS: list[tuple[str, dict[str, Any]]] = [
    *(("idw", {"neighbours": number}) for number in (6, 18, 40)),
    ("kriging", {}),
    *(("kriging", {"ranges_pitches": ranges}) for ranges in RANGES),
]


def print_scores(section: hs.Section, genes: str, seed: int) -> None:
    """Print r and squared error at the spots that are not fitted, model by model."""
    split = random(len(section), seed=seed)
    panel = select(section, genes, rows=split.training)
    samples = samples_of(section, panel, Inputs(hs.at_spots(section)))
    truth = samples.dense_expression[split.test].astype(np.float64)
    molecules = np.median(np.asarray(section.counts.sum(axis=1)))
    print(f"{section.name}: {len(section)} spots, {molecules:.0f} molecules (median)\n")
    print("| model | ranges, pitches | r | MSE |\n|---|---|--:|--:|")
    for name, options in MODELS:
        predictor = build_model(name, None, **options).fit(samples.take(split.training), seed=seed)
        mean = predict(predictor, samples.inputs.take(split.test)).mean.astype(np.float64)
        r = np.nan_to_num(pearson(truth, mean)).mean()
        ranges_um = dict(predictor.summary()).get("ranges_um", ())
        ranges = " and ".join(f"{length / section.pitch_um:.2g}" for length in ranges_um)
        label = f"{name} ({options['neighbours']} spots)" if "neighbours" in options else name
        chosen = " (chosen)" if name == "kriging" and not options else ""
        print(f"| {label} | {ranges}{chosen} | {r:.4f} | {((truth - mean) ** 2).mean():.4f} |", flush=True)
    print()


def main() -> None:
    """Print a table for each section, or for each layout of spots made of cells."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--layouts", nargs="+", default=[], help="of spots made of the cells of the folder")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for folder in arguments.folders:
        if not arguments.layouts:
            print_scores(hs.read(folder), "hvg:1000", arguments.seed)
            continue
        truth = read_truth(folder)
        for layout in arguments.layouts:
            print_scores(pseudo_spots(truth, layout, seed=arguments.seed).section, "all", arguments.seed)


if __name__ == "__main__":
    main()
