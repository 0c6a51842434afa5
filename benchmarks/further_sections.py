"""Is cokriging ahead on sections that none of its constants was chosen on? Legacy ST of five further patients.

python benchmarks/further_sections.py ../shared/data/her2st_counts --out runs/further_sections

The sections have counts and no image: cokriging of positions, beside kriging and the other baselines. One section a
patient; half of the spots are test spots; 1000 genes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

import histosge as hs
from histosge.evaluation.evaluate import evaluate
from histosge.evaluation.result import EvaluationResult
from histosge.evaluation.summary.over_sections import interval
from histosge.geometry.lattice import Lattice
from histosge.geometry.platforms import Platform

SECTIONS = ("D1", "E1", "F1", "G1", "H1")
SYSTEMS = (("depth", ""), ("idw", "neighbours=40"), ("kriging", ""), ("cokriging", "positions"))
PITCH_UM, DIAMETER_UM = 200.0, 100.0


def name_of(system: tuple[str, str]) -> str:
    """Return the name of a system as tables have it."""
    return f"{system[0]} ({system[1]})" if system[1] else system[0]


def correlation(result: EvaluationResult, section: str, model: str, preset: str) -> float:
    """Return the correlation at test spots."""
    (row,) = result.select(section=section, model=model, preset=preset, set="test")
    return float(row["pcc"] or 0.0)


def read(path: Path, name: str) -> hs.Section:
    """Return a section of a table of counts whose rows are named by column and row of the array, such as 10x12."""
    table = pd.read_csv(path, sep="\t", index_col=0)
    lattice_xy = np.array([[float(part) for part in str(spot).split("x")] for spot in table.index])
    xy_um = (lattice_xy - lattice_xy.min(axis=0) + 1) * PITCH_UM
    genes = table.columns.to_numpy(dtype=str)
    return hs.Section(
        name,
        sparse.csr_matrix(table.to_numpy(dtype=np.float64)),
        genes,
        genes,
        hs.Points(xy_um, table.index.to_numpy(dtype=str), DIAMETER_UM),
        lattice_xy,
        Lattice.fit(xy_um, lattice_xy),
        Platform("legacy ST", PITCH_UM, DIAMETER_UM, "square"),
        1.0,
    )


def main() -> None:
    """Evaluate, and write the folder of a benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="tables of counts, D1.tsv.gz …")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    sections = [read(arguments.folder / f"{name}.tsv.gz", name) for name in SECTIONS]
    result = evaluate(sections, "cokriging:positions", seeds=arguments.seeds, out=arguments.out)
    print("| section | spots | " + " | ".join(map(name_of, SYSTEMS)) + " |")
    print("|---|" + "--:|" * (len(SYSTEMS) + 1))
    differences = []
    for section in sections:
        r = [correlation(result, section.name, *system) for system in SYSTEMS]
        print(f"| {section.name} | {len(section)} | " + " | ".join(f"{value:.4f}" for value in r) + " |")
        differences.append(r[-1] - r[-2])
    low, high = interval(differences) or (np.nan, np.nan)
    print(f"\ncokriging (positions) less kriging: {np.mean(differences):+.4f} [{low:+.4f}, {high:+.4f}]")


if __name__ == "__main__":
    main()
