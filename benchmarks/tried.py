"""What was tried on cokriging and not kept, as far as its options and other models can say it.

    python benchmarks/tried.py ../shared/data/her2st/C2 ../shared/data/mob/MOB1 --seeds 0 1 2

Half of the spots are removed at random and scored, as by ``removed_spots.py``; a figure is the change of the mean
correlation over genes against cokriging as it comes. First other options; then the mean of its prediction with a fifth
and with two fifths of another model's.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from removed_spots import correlations

import histosge
from histosge.models import build_model, predict
from histosge.section import splits
from histosge.section.genes import select
from histosge.section.locations import at_spots
from histosge.section.multi_section import samples_of
from histosge.workflow.encode import encode, encoder_for

OPTIONS: dict[str, dict[str, Any]] = {
    "60 factors": {"factors": 60},
    "15 factors": {"factors": 15},
    "three ranges": {"ranges_pitches": (2.0, 6.0, 12.0)},
    "no share gene by gene": {"gene_weight": 0.0},
    "half of it gene by gene": {"gene_weight": 0.5},
    "no window": {"short_range_um": None},
    "outliers believed": {"winsorise_sd": None},
    "outliers pulled in to 2": {"winsorise_sd": 2.0},
}
OTHERS, WEIGHTS = ("histosge", "boosting", "ridge"), (0.2, 0.4)


def changes(section: histosge.Section, seed: int, compute: histosge.Compute) -> dict[str, float]:
    """Return the change that each makes on one split, as a share."""
    model = build_model("cokriging")
    split = splits.random(len(section), seed=seed)
    encoder = encoder_for(section, histosge.Recipe(), needs=model.needs, compute=compute)
    inputs = encode(section, at_spots(section), needs=model.needs, encoder=encoder, compute=compute)
    samples = samples_of(section, select(section, rows=split.training), inputs)
    fitted, test = samples.take(split.training), samples.inputs.take(split.test)
    truth = samples.expression[split.test]

    def answer(name: str, **options: Any) -> np.ndarray:
        predictor = build_model(name, **options).fit(fitted, seed=seed)
        return predict(predictor, test).mean.astype(np.float64)

    def score(found: np.ndarray) -> float:
        return float(np.nan_to_num(correlations(found, truth)).mean())

    own = answer("cokriging")
    found = {word: score(answer("cokriging", **options)) for word, options in OPTIONS.items()}
    for name in OTHERS:
        other = answer(name)
        for weight in WEIGHTS:
            found[f"{weight:g} of {name}"] = score((1 - weight) * own + weight * other)
    return {word: value / score(own) - 1 for word, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="+", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--store", type=Path, help="folder for features")
    arguments = parser.parse_args()
    compute, found = histosge.Compute(store=arguments.store), {}
    for path in arguments.sections:
        section = histosge.read(path)
        rows = [changes(section, seed, compute) for seed in arguments.seeds]
        found[section.name] = {word: float(np.mean([row[word] for row in rows])) for word in rows[0]}
    names = list(found)
    print(f"| tried | {' | '.join(names)} |\n|---|{'--:|' * len(names)}")
    for word in found[names[0]]:
        print(f"| {word} | {' | '.join(f'{found[name][word]:+.1%}' for name in names)} |")


if __name__ == "__main__":
    main()
