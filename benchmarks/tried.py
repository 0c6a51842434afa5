"""Options of cokriging, and averages with other models, that were tried and not adopted.

    python benchmarks/tried.py ../shared/data/her2st/C2 ../shared/data/mob/MOB1 --seeds 0 1 2

A random half of the spots are test spots. Each number is the change of the mean correlation over genes against the
default cokriging: first with other options, then averaged with a fifth and with two fifths of another model's
prediction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from divided_section import arguments_of, divide, mean_pcc

import histosge as hs

OPTIONS: dict[str, dict[str, Any]] = {
    "60 factors": {"factors": 60},
    "15 factors": {"factors": 15},
    "three ranges": {"ranges_pitches": (2.0, 6.0, 12.0)},
    "no gene-specific component": {"gene_weight": 0.0},
    "half of the variance gene-specific": {"gene_weight": 0.5},
    "no short-range kernel": {"short_range_um": None},
    "residuals not winsorised": {"winsorise_sd": None},
    "residuals winsorised at 2 sd": {"winsorise_sd": 2.0},
}
OTHERS, WEIGHTS = ("histosge", "boosting", "ridge"), (0.2, 0.4)


def changes(section: hs.Section, seed: int, compute: hs.Compute) -> dict[str, float]:
    """Return the relative change of the mean correlation that each makes on one split."""
    divided = divide(section, seed=seed, compute=compute)
    default = divided.predict(hs.Recipe())
    scores = {
        label: mean_pcc(divided.truth, divided.predict(hs.Recipe(options=options)))
        for label, options in OPTIONS.items()
    }
    for model in OTHERS:
        other = divided.predict(hs.Recipe(model))
        for weight in WEIGHTS:
            average = (1 - weight) * default + weight * other
            scores[f"{weight:g} of {model}"] = mean_pcc(divided.truth, average)
    reference = mean_pcc(divided.truth, default)
    return {label: score / reference - 1 for label, score in scores.items()}


def main() -> None:
    arguments = arguments_of(__doc__, seeds=[0, 1, 2]).parse_args()
    compute = hs.Compute(store=arguments.store)
    table = {}
    for path in arguments.sections:
        section = hs.read(path)
        rows = [changes(section, seed, compute) for seed in arguments.seeds]
        table[section.name] = {label: float(np.mean([row[label] for row in rows])) for label in rows[0]}
    print(f"| tried | {' | '.join(table)} |\n|---|{'--:|' * len(table)}")
    for label in next(iter(table.values())):
        print(f"| {label} | {' | '.join(f'{column[label]:+.1%}' for column in table.values())} |")


if __name__ == "__main__":
    main()
