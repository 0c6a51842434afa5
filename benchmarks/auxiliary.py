"""What siblings are worth, on the genes that are fitted with and without them.

python benchmarks/siblings.py FOLDER, the folder that `histosge benchmark benchmarks/auxiliary.toml --out FOLDER` filled.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd


def main(folder: Path) -> None:
    """Print a line for each section and model."""
    scores = pd.read_parquet(folder / "scores.parquet")
    scores = scores[(scores["set"] == "test") & (scores["metric"] == "pcc")]
    print(
        "| section | model | genes | alone | with siblings | gain | siblings alone |\n|---|---|--:|--:|--:|--:|--:|"
    )
    for (section, model), part in scores.groupby(["section", "model"], observed=True):
        wide = part.pivot_table(
            index=["seed", "gene"], columns="split", values="value", observed=True, dropna=False
        ).reindex(columns=["random:0.5", "random:0.5+siblings", "sections"])
        panels = [
            set(map(tuple, part[part["split"] == split][["seed", "gene"]].to_numpy()))
            for split in wide.columns
        ]
        # undefined correlations count as 0
        both = wide.loc[sorted(panels[0] & panels[1])].fillna(0.0)
        alone, beside = both["random:0.5"].mean(), both["random:0.5+siblings"].mean()
        third = wide.loc[sorted(panels[2])]["sections"].fillna(0.0).mean()
        genes = len(both) / both.index.get_level_values("seed").nunique()
        last = "–" if pd.isna(third) else f"{third:.3f}"
        line = f"{genes:.0f} | {alone:.3f} | {beside:.3f} | {beside / alone - 1:+.1%} | {last}"
        print(f"| {section} | {model} | {line} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
