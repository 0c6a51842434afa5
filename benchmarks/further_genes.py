"""How the intervals of genes outside the fitted panel cover, at spots removed.

    python benchmarks/further_genes.py ../shared/data/her2st/C2 ../shared/data/crc16 --seeds 0 1

Half of the spots are removed, cokriging is fitted to the panel on the other half, all other genes get loadings there
by regression. Coverage of their 90 % intervals at removed spots, pooled over genes, by the share of fitted spots that a
gene was seen at: one never seen is said to be 0 without doubt, which is right nearly everywhere.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

import histosge
from histosge.metrics.intervals import coverage
from histosge.models import build_model
from histosge.models.base import FactoredPredictor
from histosge.prediction.unfitted_genes import extend
from histosge.section import splits
from histosge.section.expression import log_cp10k
from histosge.section.genes import select
from histosge.section.locations import at_spots
from histosge.section.multi_section import samples_of
from histosge.workflow.encode import encode, encoder_for

# shares of fitted spots
BANDS = ((0.0, 0.02), (0.02, 0.1), (0.1, 0.3), (0.3, 1.0))


def covered(section: histosge.Section, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each gene outside the panel the share of fitted spots that showed it, and its coverage."""
    model = build_model("cokriging")
    split = splits.random(len(section), seed=seed)
    encoder = encoder_for(section, histosge.Recipe(), needs=model.needs, compute=histosge.Compute())
    inputs = encode(
        section, at_spots(section), needs=model.needs, encoder=encoder, compute=histosge.Compute()
    )
    samples = samples_of(section, select(section, rows=split.training), inputs)
    predictor = model.fit(samples.take(split.training), seed=seed)
    assert isinstance(predictor, FactoredPredictor)
    factored = predictor.factored(samples.inputs.take(split.test))
    counts = section.counts[split.training]
    score, sd = predictor.left_out_scores()
    basis = extend(factored.basis, score, counts, section.genes, score_sd=sd)
    further = [str(name) for name in basis.genes[len(samples.genes) :]]
    found = replace(factored, basis=basis).whole(further, observation=True)
    place = {str(name): column for column, name in enumerate(section.genes)}
    columns = np.array([place[name] for name in further])
    truth = log_cp10k(section.counts, columns=columns)[split.test].toarray()
    assert found.sd is not None
    seen = np.asarray((counts > 0).mean(axis=0)).ravel()[columns]
    return seen, coverage(truth, found.mean, found.sd, 0.9)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="+", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    arguments = parser.parse_args()
    words = [f"{low:.0%} to {high:.0%}" for low, high in BANDS]
    print(f"| section | seen at all | never seen | {' | '.join(words)} |\n|---|--:|--:|{'--:|' * len(BANDS)}")
    for path in arguments.sections:
        section = histosge.read(path)
        pairs = [covered(section, seed) for seed in arguments.seeds]
        seen, share = (np.concatenate(part) for part in zip(*pairs, strict=True))
        parts = [seen > 0, seen <= 0, *((seen > low) & (seen <= high) for low, high in BANDS)]
        cells = [f"{share[part].mean():.3f} ({part.sum() // len(pairs)})" for part in parts]
        print(f"| {section.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
