"""The paper's Fig. 2 and 3, 4 and 5, from one plan.

    python benchmarks/domains.py ../shared/data/dlpfc/151673 ../shared/data/dlpfc/151674 --out domains-benchmark
    python benchmarks/paper_figures.py benchmarks/figures/paper.toml --out paper-figures

``recovery.png`` (Fig. 2, 3): marker genes, half of the spots, the recovery of each method, the truth.
``enhancement.png`` (Fig. 4): measured and 2-, 4- and 8-fold maps with their scores. ``agreement.png`` and
``domains-*.png`` (Fig. 5): the adjusted Rand index by data and method, and maps of the domains of every seed.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

import histosge as hs
from histosge._runtime.names import positions
from histosge.domains.annotation import read_annotation
from histosge.evaluation.plan_file import parse_recipe
from histosge.evaluation.study import Study, choose_genes, encode_study, gather_samples
from histosge.figures.agreement_bars import agreement_bars
from histosge.figures.domain_maps import Panel, domain_maps
from histosge.figures.png import save_png
from histosge.figures.recovery_maps import Recovery, recovery_maps
from histosge.metrics.given_depth import partial_correlation
from histosge.metrics.pearson import pearson
from histosge.models import predict
from histosge.section.expression import depth, log_cp10k, log_depth
from histosge.section.genes import GenePanel, refuse_unknown
from histosge.workflow.domain_input import map_locations

# the DLPFC sections at hand have Ensembl identifiers
SYMBOLS = {
    "PCP4": "ENSG00000183036",
    "MOBP": "ENSG00000168314",
    "MBP": "ENSG00000197971",
    "HBB": "ENSG00000244734",
    "SCGB2A2": "ENSG00000110484",
}


def label(recipe: hs.Recipe) -> str:
    return recipe.model + (f" ({recipe.variant})" if recipe.variant else "")


def measured_genes(section: hs.Section, symbols: list[str]) -> list[str]:
    """Return the section's names of genes given by symbol; genes that it does not have are printed and left out."""
    names = {symbol: SYMBOLS.get(symbol, symbol) for symbol in symbols}
    available = set(map(str, section.genes))
    for symbol, name in names.items():
        if name not in available:
            print(f"{symbol} is not among the {len(section.genes)} genes of {section.name}; left out")
    genes = [name for name in names.values() if name in available]
    refuse_unknown(genes or symbols, section.genes, f"section '{section.name}'")
    return genes


def recovery(section: hs.Section, genes: list[str], recipes: list[hs.Recipe], seed: int) -> Recovery:
    """Fit each model to half of the spots, and predict all."""
    study = Study.of(section, seed=seed)
    panel = choose_genes(study)
    columns = np.union1d(panel.columns, positions(genes, section.genes))
    panel = GenePanel(section.genes[columns], columns, panel.spec)
    shown = positions(genes, panel.names)
    truth = log_cp10k(section.counts, columns=positions(genes, section.genes)).toarray()
    predicted, pcc, given_depth = {}, {}, {}
    test_depth = log_depth(depth(section.counts))[study.test]
    for recipe in recipes:
        inputs = encode_study(study, recipe)
        predictor = recipe.build().fit(gather_samples(study, panel, inputs), seed=seed)
        values = predict(predictor, inputs).mean[:, shown].astype(np.float64)
        predicted[label(recipe)] = values
        pcc[label(recipe)] = pearson(truth[study.test], values[study.test])
        given_depth[label(recipe)] = partial_correlation(truth[study.test], values[study.test], test_depth)
    training = np.isin(np.arange(len(section)), study.training)
    return Recovery(section.spots.xy, training, genes, truth, predicted, pcc, given_depth)


def draw_domains(folder: Path, base: Path, out: Path) -> list[Path]:
    """Draw the results of benchmarks/domains.py: bars over sections and seeds, and maps of every seed."""
    rows = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    # measured data first, then the models
    rows.sort(key=lambda row: (row["source"] != "raw", row["source"], row["method"], row["seed"]))
    table: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        table[row["method"]][row["source"]].append(row["ari"])
    paths = [save_png(agreement_bars(table), out / "agreement.png")]
    for name in sorted({row["section"] for row in rows}):
        section = hs.read(base / name)
        spots = map_locations(section)
        annotation = np.asarray(read_annotation(base / name / "layers.tsv", spots.ids))
        panels = [Panel(f"{name}: annotated", spots.xy_um, annotation)]
        for row in rows:
            if row["section"] == name and "error" not in row:
                title = f"{row['method']} on {row['source']}, seed {row['seed']}: ARI {row['ari']:.2f}"
                panels.append(Panel(title, spots.xy_um, np.asarray(row["labels"]).astype(str)))
        paths.append(save_png(domain_maps(panels, spots.image), out / f"domains-{name}.png"))
    return paths


def draw(plan: dict[str, Any], base: Path, figures: list[str], out: Path) -> list[Path]:
    """Draw the figures of a plan, whose paths are relative to ``base``."""
    path, paths = base / plan["section"], []
    section = hs.read(path)
    genes = measured_genes(section, plan["genes"])
    if "recovery" in figures:
        recipes = list(map(parse_recipe, plan["models"]))
        maps = recovery_maps(recovery(section, genes, recipes, plan["seed"]))
        paths.append(save_png(maps, out / "recovery.png"))
    if "enhancement" in figures:
        recipe = parse_recipe(plan["recipe"])
        maps = hs.pl.enhance(section, genes=genes, recipe=recipe, upsample=plan["upsample"])
        paths.append(save_png(maps, out / "enhancement.png"))
    if "domains" in figures:
        paths += draw_domains(Path(plan["domains"]), path.parent, out)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plan", type=Path)
    parser.add_argument("--out", type=Path, default=Path("paper-figures"))
    parser.add_argument("--only", nargs="+", default=["recovery", "enhancement", "domains"])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    plan = tomllib.loads(arguments.plan.read_text())
    for path in draw(plan, arguments.plan.parent, arguments.only, arguments.out):
        print(path)


if __name__ == "__main__":
    main()
