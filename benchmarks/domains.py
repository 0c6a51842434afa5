"""How well domains found in measured and in recovered data agree with annotated layers.

    python benchmarks/domains.py ../shared/data/dlpfc/151673 ../shared/data/dlpfc/151674 --sources raw --seeds 0 1 2
    python benchmarks/domains.py ../shared/data/dlpfc/151673 --sources mean kriging stage:paper histosge --seeds 0

A section's folder holds ``layers.tsv``. ``raw`` is what was measured, all spots, with the genes each method takes.
Any other source is a model fitted to a random half of the spots (1000 genes chosen on that half) whose predictions at
all spots are clustered. All spots are clustered, those without annotation dropped, the number of domains is that of
the annotation. Each seed is the seed of the split, of the fit and of the clustering. Rows are kept in ``--out`` and
not computed again. ``--epochs`` shortens deep models; the number is part of the row's name.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import histosge
from histosge.domains import DomainInput, build_method, neighbour_distance_um
from histosge.domains.annotation import read_annotation
from histosge.errors import DataError
from histosge.metrics.labels import adjusted_rand, mutual_information
from histosge.models import MODELS, build_model, predict
from histosge.section import splits
from histosge.section.genes import select
from histosge.section.locations import at_spots
from histosge.section.multi_section import samples_of
from histosge.workflow.encode import encode, encoder_for


def recovered(section: histosge.Section, word: str, seed: int, epochs: int | None, store: Path) -> np.ndarray:
    """Return what a model fitted to half of the spots says of all of them."""
    name, _, preset = word.partition(":")
    options = {} if epochs is None or not hasattr(MODELS[name], "epochs") else {"epochs": epochs}
    model = build_model(name, preset or None, **options)
    split = splits.random(len(section), seed=seed)
    panel = select(section, rows=split.training)
    compute = histosge.Compute(store=store)
    encoder = encoder_for(section, histosge.Recipe(), needs=model.needs, compute=compute)
    samples = samples_of(
        section,
        panel,
        encode(section, at_spots(section), needs=model.needs, encoder=encoder, compute=compute),
    )
    predictor = model.fit(samples.take(split.training), seed=seed)
    return np.asarray(predict(predictor, samples.inputs).mean, dtype=np.float64)


def row(path: Path, source: str, name: str, seed: int, arguments: argparse.Namespace) -> dict[str, object]:
    section = histosge.read(path)
    truth = read_annotation(path / "layers.tsv", section.spots.ids)
    method = build_method(*name.split(":"))
    start = time.process_time()
    if source == "raw":
        values = DomainInput.measured(section, genes=method.genes).values
    else:
        kept = (
            arguments.out / f"{section.name.replace('/', '_')}-{label(source, arguments.epochs)}-{seed}.npy"
        )
        if not kept.exists():
            np.save(kept, recovered(section, source, seed, arguments.epochs, arguments.out / "features"))
        values = np.load(kept)
    fitted, start = time.process_time() - start, time.process_time()
    clusters = len(set(truth) - {""})
    xy = section.spots.xy
    try:
        labels = np.zeros(len(section), dtype=int)
        labels = method.assign(values, xy, pitch_um=neighbour_distance_um(xy), clusters=clusters, seed=seed)
        scores = {"ari": adjusted_rand(truth, list(labels)), "nmi": mutual_information(truth, list(labels))}
    except DataError as error:
        # the mean of each gene is the same everywhere: there is nothing to divide
        scores = {"ari": 0.0, "nmi": 0.0, "note": str(error)}
    cpu = {"fit_cpu_s": fitted, "divide_cpu_s": time.process_time() - start}
    about = {"section": section.name, "source": label(source, arguments.epochs), "method": name, "seed": seed}
    return about | scores | cpu | {"labels": labels.tolist()}


def label(source: str, epochs: int | None) -> str:
    """Return the row's name: the model, and how many epochs where they were cut."""
    deep = source != "raw" and hasattr(MODELS[source.partition(":")[0]], "epochs")
    return f"{source} ({epochs} epochs)" if deep and epochs is not None else source


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="+", type=Path)
    parser.add_argument("--sources", nargs="+", default=["raw"])
    parser.add_argument("--methods", nargs="+", default=["kmeans", "stagate", "stmask"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="of deep models; the clustering methods keep theirs")
    parser.add_argument("--out", type=Path, default=Path("domains-benchmark"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    found = {}
    for seed in arguments.seeds:
        for path in arguments.sections:
            for source in arguments.sources:
                for name in arguments.methods:
                    key = f"{path.name}-{label(source, arguments.epochs)}-{name}-{seed}"
                    kept = arguments.out / f"{key}.json"
                    if not kept.exists():
                        kept.write_text(json.dumps(row(path, source, name, seed, arguments)))
                    found[key] = json.loads(kept.read_text())
                    said = {word: value for word, value in found[key].items() if word != "labels"}
                    print(json.dumps(said), flush=True)
    groups = dict.fromkeys((each["section"], each["source"], each["method"]) for each in found.values())
    print("| section | data | method | seeds | ARI | sd | NMI | CPU s |\n|---|---|---|--:|--:|--:|--:|--:|")
    for group in groups:
        rows = [each for each in found.values() if (each["section"], each["source"], each["method"]) == group]
        ari, nmi, cpu = (np.array([each[word] for each in rows]) for word in ("ari", "nmi", "divide_cpu_s"))
        sd = f"{ari.std(ddof=1):.3f}" if len(ari) > 1 else "–"
        print(
            f"| {' | '.join(group)} | {len(ari)} | {ari.mean():.3f} | {sd} | {nmi.mean():.3f} | {cpu.mean():.0f} |"
        )


if __name__ == "__main__":
    main()
