"""The paper's Fig. 2 and 3, 4 and 5, from one plan.

    python benchmarks/domains.py ../shared/data/dlpfc/151673 ../shared/data/dlpfc/151674 --out domains-benchmark
    python benchmarks/paper_figures.py benchmarks/figures/paper.toml --out paper-figures

``recovery.png`` (Fig. 2, 3): marker genes, half of the spots, each method's recovery, the truth. ``enhancement.png``
(Fig. 4): measured and 2-, 4- and 8-fold maps with their numbers. ``agreement.png`` and ``domains-*.png`` (Fig. 5): the
adjusted Rand index by data and method, and maps of the domains of every seed.
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
from histosge.domains.annotation import read_annotation
from histosge.evaluation.entry import Entry
from histosge.figures.domains import Panel, agreement_bars, domain_maps
from histosge.figures.maps import save
from histosge.figures.recovery import Recovery, recovery_maps
from histosge.metrics.pearson import pearson
from histosge.models import predict
from histosge.section import splits
from histosge.section.genes import GenePanel, refuse_unknown, select
from histosge.section.locations import at_spots
from histosge.section.multi_section import samples_of
from histosge.workflow.domain_input import map_locations
from histosge.workflow.encode import encode, encoder_for


def entry(words: dict[str, Any]) -> Entry:
    return Entry.parse(words["model"], {name: value for name, value in words.items() if name != "model"})


def label(chosen: Entry) -> str:
    return chosen.model + (f" ({chosen.variant})" if chosen.variant else "")


def named(section: hs.Section, genes: list[str]) -> list[str]:
    """Return the section's names of genes given by symbol; those it does not have are said and left out."""
    found = [gene for gene in (SYMBOLS.get(name, name) for name in genes) if gene in set(section.genes)]
    for gene in set(genes) - {name for name in genes if SYMBOLS.get(name, name) in found}:
        print(f"{gene} is not among the {len(section.genes)} genes of {section.name}; left out")
    refuse_unknown(found or genes, section.genes, f"section '{section.name}'")
    return found


# the DLPFC sections at hand have Ensembl ids
SYMBOLS = {
    "PCP4": "ENSG00000183036",
    "MOBP": "ENSG00000168314",
    "MBP": "ENSG00000197971",
    "HBB": "ENSG00000244734",
    "SCGB2A2": "ENSG00000110484",
}


def recovery(section: hs.Section, genes: list[str], plan: dict[str, Any]) -> Recovery:
    """Fit each model to half of the spots, predict all."""
    split = splits.random(len(section), seed=plan["seed"])
    own = select(section, rows=split.training)
    where = {str(name): column for column, name in enumerate(section.genes)}
    columns = np.union1d(own.columns, [where[gene] for gene in genes])
    panel = GenePanel(section.genes[columns], columns, own.spec)
    shown = [int(np.flatnonzero(panel.names == gene)[0]) for gene in genes]
    found, pcc = {}, {}
    for chosen in map(entry, plan["models"]):
        model = chosen.build()
        encoder = encoder_for(section, hs.Recipe(), needs=model.needs, compute=hs.Compute())
        samples = samples_of(
            section, panel, encode(section, at_spots(section), needs=model.needs, encoder=encoder)
        )
        predictor = model.fit(samples.take(split.training), seed=plan["seed"])
        values = predict(predictor, samples.inputs).mean[:, shown].astype(np.float64)
        found[label(chosen)] = values
        pcc[label(chosen)] = pearson(samples.expression[split.test][:, shown], values[split.test])
    truth = samples.expression[:, shown]
    return Recovery(
        section.spots.xy, np.isin(np.arange(len(section)), split.training), genes, truth, found, pcc
    )


def fig_five(folder: Path, base: Path, out: Path) -> list[Path]:
    """Draw what benchmarks/domains.py found: bars over sections and seeds, and maps of every seed."""
    rows = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    table: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    # measured data first, then the models
    rows.sort(key=lambda each: (each["source"] != "raw", each["source"], each["method"], each["seed"]))
    for each in rows:
        table[each["method"]][each["source"]].append(each["ari"])
    written = [save(agreement_bars(table), out / "agreement.png")]
    for name in sorted({each["section"] for each in rows}):
        section = hs.read(base / name)
        spots = map_locations(section)
        truth = np.asarray(read_annotation(base / name / "layers.tsv", spots.ids))
        panels = [Panel(f"{name}: annotated", spots.xy_um, truth)]
        for each in rows:
            if each["section"] == name and "note" not in each:
                title = f"{each['method']} on {each['source']}, seed {each['seed']}: ARI {each['ari']:.2f}"
                panels.append(Panel(title, spots.xy_um, np.asarray(each["labels"]).astype(str)))
        written.append(save(domain_maps(panels, spots.image), out / f"domains-{name}.png"))
    return written


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
    path = arguments.plan.parent / plan["section"]
    section = hs.read(path)
    genes = named(section, plan["genes"])
    if "recovery" in arguments.only:
        print(save(recovery_maps(recovery(section, genes, plan)), arguments.out / "recovery.png"), flush=True)
    if "enhancement" in arguments.only:
        chosen = entry(plan["recipe"])
        recipe = hs.Recipe(chosen.model, chosen.preset, chosen.options)
        figure = hs.pl.enhance(section, genes=genes, recipe=recipe, upsample=plan["folds"])
        print(save(figure, arguments.out / "enhancement.png"), flush=True)
    if "domains" in arguments.only:
        for each in fig_five(Path(plan["domains"]), path.parent, arguments.out):
            print(each, flush=True)


if __name__ == "__main__":
    main()
