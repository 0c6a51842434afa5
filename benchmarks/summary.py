"""What a plan's scores say over all its sections: correlations, gains over each model, and how intervals cover.

    histosge benchmark benchmarks/all_sections.toml --out runs/all_sections
    python benchmarks/summary.py runs/all_sections

Reads ``scores.parquet``. Correlations are means over genes (undefined ones count 0) and seeds at removed spots; a gain
is the mean over sections of one model's correlation over another's. Coverage is that of 90 % intervals at removed
spots, pooled over genes: of all values, by thirds of genes (how much they are expressed), and by thirds of spots (how
far the nearest fitted one is; on a lattice many are equally far, and a third may be empty).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd


def named(scores: pd.DataFrame) -> pd.Series:
    """Return one name a row: the model and its preset."""
    return scores["model"].astype(str) + scores["preset"].astype(str).map(
        lambda word: f" ({word})" if word else ""
    )


def correlations(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the mean correlation of each split and section (rows) and model (columns)."""
    mine = scores[(scores["set"] == "test") & (scores["metric"] == "pcc")]
    mean = mine["value"].fillna(0.0).groupby([mine["split"], mine["section"], mine["name"]]).mean()
    return mean.unstack("name")


def covered(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the coverage of each model that gives intervals, split and section."""
    keys = ["name", "split", "section"]
    mine = scores[scores["set"] == "test"]
    coverage = mine[mine["metric"] == "coverage90"]
    # a gene's mean is one of all spots, whichever model is scored
    expression = scores[scores["metric"] == "expression"]
    level = expression.groupby(["section", "split", "seed", "gene"])["value"].mean().rename("level")
    joined = coverage.join(level, on=["section", "split", "seed", "gene"])
    third = joined.groupby(["name", "split", "section", "seed"])["level"].rank(pct=True)
    joined["third"] = np.minimum((3 * (third - 1e-9)).astype(int), 2)
    columns = {"all": coverage.groupby(keys)["value"].mean()}
    for index, word in enumerate(("low", "middle", "high")):
        columns[f"expression {word}"] = joined[joined["third"] == index].groupby(keys)["value"].mean()
    for word in ("low", "middle", "high"):
        part = mine[mine["metric"] == f"coverage90_distance_{word}"]
        columns[f"distance {word}"] = part.groupby(keys)["value"].mean()
    return pd.DataFrame(columns)


def show(frame: pd.DataFrame, form: str) -> None:
    """Print a frame as a table of Markdown."""
    index = [name for name in frame.index.names if name]
    print("| " + " | ".join([*index, *map(str, frame.columns)]) + " |")
    print("|" + "---|" * len(index) + "--:|" * len(frame.columns))
    for key, line in zip(frame.index, frame.to_numpy(), strict=True):
        words = [str(part) for part in (key if isinstance(key, tuple) else (key,))]
        print("| " + " | ".join([*words, *("–" if np.isnan(v) else form.format(v) for v in line)]) + " |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--of", default="cokriging", help="whose gains over the others are shown")
    arguments = parser.parse_args()
    scores = pd.read_parquet(arguments.folder / "scores.parquet")
    scores = scores.astype(
        dict.fromkeys(("section", "split", "set", "model", "preset", "metric", "gene"), str)
    )
    scores["name"] = named(scores)
    found = correlations(scores)
    show(found, "{:.4f}")
    mine = found[arguments.of]
    rivals = [name for name in found.columns if name != arguments.of and (found[name] > 0.005).all()]
    gains = pd.DataFrame({name: (mine / found[name] - 1).groupby("split").mean() for name in rivals})
    least = pd.DataFrame({name: (mine / found[name] - 1).groupby("split").min() for name in rivals})
    print(f"gain of {arguments.of}, mean over sections, then the least of any section\n")
    show(gains, "{:+.1%}")
    show(least, "{:+.1%}")
    show(covered(scores), "{:.3f}")


if __name__ == "__main__":
    main()
