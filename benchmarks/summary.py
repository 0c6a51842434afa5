"""Summary of a plan's scores over all its sections: correlations, gains over each model, coverage of intervals.

    histosge benchmark benchmarks/all_sections.toml --out runs/all_sections
    python benchmarks/summary.py runs/all_sections

Reads ``scores.parquet``. Correlations, and the same given depth, are means over genes (undefined ones count 0) and
seeds at test spots; a gain is the mean over sections of the relative change of the correlation against another model.
Coverage is that of 90 % intervals at test spots, pooled over genes: of all values, by terciles of genes (by
expression), and by terciles of spots (by distance to the nearest training spot; on a lattice many distances are equal,
and a tercile may be empty).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

TERCILES = ("low", "middle", "high")


def model_names(scores: pd.DataFrame) -> pd.Series:
    """Return the name of each row: the model and its preset."""
    preset = scores["preset"].map(lambda text: f" ({text})" if text else "")
    return scores["model"] + preset


def correlations(scores: pd.DataFrame, metric: str = "pcc") -> pd.DataFrame:
    """Return the mean correlation of each split and section (rows) and model (columns)."""
    test = scores[(scores["set"] == "test") & (scores["metric"] == metric)]
    mean = test["value"].fillna(0.0).groupby([test["split"], test["section"], test["name"]]).mean()
    return mean.unstack("name")


def coverage(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the coverage of each model that gives intervals, split and section."""
    keys = ["name", "split", "section"]
    test = scores[scores["set"] == "test"]
    covered = test[test["metric"] == "coverage90"]
    # the mean expression of a gene is that of all spots, whichever model is scored
    expression = scores[scores["metric"] == "expression"]
    level = expression.groupby(["section", "split", "seed", "gene"])["value"].mean().rename("level")
    covered = covered.join(level, on=["section", "split", "seed", "gene"])
    rank = covered.groupby(["name", "split", "section", "seed"])["level"].rank(pct=True)
    covered["tercile"] = np.minimum((3 * (rank - 1e-9)).astype(int), 2)
    columns = {"all": covered.groupby(keys)["value"].mean()}
    for index, tercile in enumerate(TERCILES):
        part = covered[covered["tercile"] == index]
        columns[f"expression {tercile}"] = part.groupby(keys)["value"].mean()
    for tercile in TERCILES:
        part = test[test["metric"] == f"coverage90_distance_{tercile}"]
        columns[f"distance {tercile}"] = part.groupby(keys)["value"].mean()
    return pd.DataFrame(columns)


def print_table(frame: pd.DataFrame, number_format: str) -> None:
    """Print a frame as a table of Markdown."""
    index = [name for name in frame.index.names if name]
    print("| " + " | ".join([*index, *map(str, frame.columns)]) + " |")
    print("|" + "---|" * len(index) + "--:|" * len(frame.columns))
    for key, values in zip(frame.index, frame.to_numpy(), strict=True):
        labels = [str(part) for part in (key if isinstance(key, tuple) else (key,))]
        numbers = ["–" if np.isnan(value) else number_format.format(value) for value in values]
        print("| " + " | ".join([*labels, *numbers]) + " |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--of", default="cokriging", help="the model whose gains are printed")
    arguments = parser.parse_args()
    scores = pd.read_parquet(arguments.folder / "scores.parquet")
    labels = ("section", "split", "set", "model", "preset", "metric", "gene")
    scores = scores.astype(dict.fromkeys(labels, str))
    scores["name"] = model_names(scores)
    pcc = correlations(scores)
    print_table(pcc, "{:.4f}")
    # folders of earlier versions have none
    if len(given_depth := correlations(scores, "pcc_given_depth")):
        print("the same given depth: with the log total count of the spots partialled out\n")
        print_table(given_depth, "{:.4f}")
    # models without any correlation, such as the mean, have no relative gain
    rivals = [name for name in pcc.columns if name != arguments.of and (pcc[name] > 0.005).all()]
    gains = {name: pcc[arguments.of] / pcc[name] - 1 for name in rivals}
    print(f"gain of {arguments.of}: mean over sections, then the least of any section\n")
    print_table(pd.DataFrame({name: gain.groupby("split").mean() for name, gain in gains.items()}), "{:+.1%}")
    print_table(pd.DataFrame({name: gain.groupby("split").min() for name, gain in gains.items()}), "{:+.1%}")
    print_table(coverage(scores), "{:.3f}")


if __name__ == "__main__":
    main()
