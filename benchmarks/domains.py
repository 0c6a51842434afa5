"""Agreement of domains with annotated layers, on measured and on recovered expression.

    python benchmarks/domains.py ../shared/data/dlpfc/151673 ../shared/data/dlpfc/151674 --sources raw --seeds 0 1 2
    python benchmarks/domains.py ../shared/data/dlpfc/151673 --sources mean kriging stage:paper histosge --seeds 0

A section's folder holds ``layers.tsv``. ``raw`` is the measured expression of all spots, with the genes that each
method takes. Any other source is a model fitted to a random half of the spots (1000 genes chosen on that half), whose
predictions at all spots are clustered. All spots are clustered; those without annotation are dropped; the number of
domains is that of the annotation. A seed is the seed of the split, of the fit and of the clustering. Rows are kept in
``--out`` and not computed again. ``--epochs`` shortens deep models; the number is part of the row's name.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from divided_section import arguments_of, divide

import histosge as hs
from histosge.domains import DomainInput, build_method, neighbour_distance_um
from histosge.domains.annotation import read_annotation
from histosge.errors import DataError
from histosge.metrics.labels import adjusted_rand, mutual_information
from histosge.models import MODELS, predict

Row = dict[str, Any]


def recovered(section: hs.Section, source: str, seed: int, arguments: argparse.Namespace) -> np.ndarray:
    """Return the prediction at all spots of a model fitted to half of them; it is kept in the output folder."""
    path = arguments.out / f"{section.name.replace('/', '_')}-{label(source, arguments.epochs)}-{seed}.npy"
    if not path.exists():
        options = {"epochs": arguments.epochs} if is_shortened(source, arguments.epochs) else {}
        recipe = hs.Recipe.parse(source, options)
        divided = divide(section, recipe, seed=seed, compute=hs.Compute(store=arguments.out / "features"))
        predictor = recipe.build().fit(divided.training, seed=seed)
        np.save(path, np.asarray(predict(predictor, divided.inputs).mean, dtype=np.float64))
    return np.load(path)


def row(path: Path, source: str, name: str, *, seed: int, arguments: argparse.Namespace) -> Row:
    """Return the agreement of one method on one source with the annotation of a section."""
    section = hs.read(path)
    annotation = read_annotation(path / "layers.tsv", section.spots.ids)
    method = build_method(*name.split(":"))
    start = time.process_time()
    if source == "raw":
        values = DomainInput.measured(section, genes=method.genes).values
    else:
        values = recovered(section, source, seed, arguments)
    fit_seconds, start = time.process_time() - start, time.process_time()
    xy, clusters = section.spots.xy, len(set(annotation) - {""})
    labels = np.zeros(len(section), dtype=int)
    scores: Row
    try:
        labels = method.assign(values, xy, pitch_um=neighbour_distance_um(xy), clusters=clusters, seed=seed)
        scores = {
            "ari": adjusted_rand(annotation, list(labels)),
            "nmi": mutual_information(annotation, list(labels)),
        }
    except DataError as error:
        # the mean of each gene is constant over the section: it has no clusters
        scores = {"ari": 0.0, "nmi": 0.0, "error": str(error)}
    cpu = {"fit_cpu_s": fit_seconds, "cluster_cpu_s": time.process_time() - start}
    source = label(source, arguments.epochs)
    identity = {"section": section.name, "source": source, "method": name, "seed": seed}
    return identity | scores | cpu | {"labels": labels.tolist()}


def is_shortened(source: str, epochs: int | None) -> bool:
    """Return whether the source is a deep model whose epochs were limited."""
    return epochs is not None and source != "raw" and hasattr(MODELS[source.partition(":")[0]], "epochs")


def label(source: str, epochs: int | None) -> str:
    """Return the row's name: the model, and its number of epochs where it was limited."""
    return f"{source} ({epochs} epochs)" if is_shortened(source, epochs) else source


def stored_row(path: Path, source: str, name: str, *, seed: int, arguments: argparse.Namespace) -> Row:
    """Return a row that is in the output folder, computed and written where it is missing."""
    file = arguments.out / f"{path.name}-{label(source, arguments.epochs)}-{name}-{seed}.json"
    if not file.exists():
        file.write_text(json.dumps(row(path, source, name, seed=seed, arguments=arguments)))
    content: Row = json.loads(file.read_text())
    return content


def print_table(rows: list[Row]) -> None:
    print("| section | data | method | seeds | ARI | sd | NMI | CPU s |\n|---|---|---|--:|--:|--:|--:|--:|")
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["section"], row["source"], row["method"]), []).append(row)
    for names, group in groups.items():
        ari, nmi, cpu = (np.array([row[key] for row in group]) for key in ("ari", "nmi", "cluster_cpu_s"))
        sd = f"{ari.std(ddof=1):.3f}" if len(ari) > 1 else "–"
        scores = f"{ari.mean():.3f} | {sd} | {nmi.mean():.3f} | {cpu.mean():.0f}"
        print(f"| {' | '.join(names)} | {len(ari)} | {scores} |")
    if len({names[0] for names in groups}) > 1:
        print_medians(groups)


def print_medians(groups: dict[tuple[str, str, str], list[Row]]) -> None:
    """Print the median over sections of each section's mean ARI over seeds, which STMask reports."""
    print("\n| data | method | sections | median ARI |\n|---|---|--:|--:|")
    means: dict[tuple[str, str], list[float]] = {}
    for (_, *kind), group in groups.items():
        means.setdefault((kind[0], kind[1]), []).append(float(np.mean([row["ari"] for row in group])))
    for (source, method), values in means.items():
        print(f"| {source} | {method} | {len(values)} | {np.median(values):.3f} |")


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--sources", nargs="+", default=["raw"])
    parser.add_argument("--methods", nargs="+", default=["spatial_mixture", "kmeans", "stagate", "stmask"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="of deep models; the clustering methods keep theirs")
    parser.add_argument("--out", type=Path, default=Path("domains-benchmark"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed, path in product(arguments.seeds, arguments.sections):
        for source, name in product(arguments.sources, arguments.methods):
            rows.append(stored_row(path, source, name, seed=seed, arguments=arguments))
            print(json.dumps({key: rows[-1][key] for key in rows[-1] if key != "labels"}), flush=True)
    print_table(rows)


if __name__ == "__main__":
    main()
