"""What auxiliary sections are worth, on the genes that are fitted with and without them.

histosge benchmark benchmarks/auxiliary.toml --out runs/auxiliary
python benchmarks/auxiliary.py runs/auxiliary
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

ALONE, WITH_AUXILIARY, AUXILIARY_ALONE = SPLITS = ("random:0.5", "random:0.5+auxiliary", "sections")


def row(part: pd.DataFrame) -> str:
    """Return the cells of one section and model: genes, correlation alone, with auxiliary sections, gain, without."""
    by_split = part.pivot_table(
        index=["seed", "gene"], columns="split", values="value", observed=True, dropna=False
    ).reindex(columns=SPLITS)
    panels = {
        split: set(map(tuple, part[part["split"] == split][["seed", "gene"]].to_numpy())) for split in SPLITS
    }
    # undefined correlations count as 0
    common = by_split.loc[sorted(panels[ALONE] & panels[WITH_AUXILIARY])].fillna(0.0)
    alone, joint = common[ALONE].mean(), common[WITH_AUXILIARY].mean()
    without = by_split.loc[sorted(panels[AUXILIARY_ALONE])][AUXILIARY_ALONE].fillna(0.0).mean()
    genes = len(common) / common.index.get_level_values("seed").nunique()
    last = "–" if pd.isna(without) else f"{without:.3f}"
    return f"{genes:.0f} | {alone:.3f} | {joint:.3f} | {joint / alone - 1:+.1%} | {last}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    scores = pd.read_parquet(parser.parse_args().folder / "scores.parquet")
    scores = scores[(scores["set"] == "test") & (scores["metric"] == "pcc")]
    print("| section | model | genes | alone | with auxiliary sections | gain | auxiliary sections alone |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for (section, model), part in scores.groupby(["section", "model"], observed=True):
        print(f"| {section} | {model} | {row(part)} |")


if __name__ == "__main__":
    main()
