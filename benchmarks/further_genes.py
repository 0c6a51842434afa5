"""How the 90 % intervals of genes outside the fitted panel cover at test spots.

    python benchmarks/further_genes.py ../shared/data/her2st/C2 ../shared/data/crc16 --seeds 0 1

Cokriging is fitted to the panel at a random half of the spots; all other genes get loadings there by regression. The
table shows the coverage at test spots, pooled over genes, by the fraction of training spots where a gene was detected.
A gene that was never detected is predicted to be 0 with no uncertainty, which is right at nearly all spots.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from divided_section import arguments_of, divide

import histosge as hs
from histosge._runtime.names import positions
from histosge.metrics.intervals import coverage
from histosge.models.base import FactoredPredictor
from histosge.prediction.unfitted_genes import extend
from histosge.section.expression import log_cp10k

# fractions of training spots with a count
BANDS = ((0.0, 0.02), (0.02, 0.1), (0.1, 0.3), (0.3, 1.0))


def covered(section: hs.Section, seed: int, compute: hs.Compute) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each gene outside the panel, the fraction of training spots that detect it, and its coverage."""
    divided = divide(section, seed=seed, compute=compute)
    predictor = hs.Recipe().build().fit(divided.training, seed=seed)
    assert isinstance(predictor, FactoredPredictor)
    factored = predictor.factored(divided.test)
    counts = section.counts[divided.study.training]
    scores, sd = predictor.left_out_scores()
    basis = extend(factored.basis, scores, counts, section.genes, score_sd=sd)
    genes = [str(name) for name in basis.genes[len(divided.training.genes) :]]
    prediction = replace(factored, basis=basis).whole(genes, observation=True)
    assert prediction.sd is not None
    columns = positions(genes, section.genes)
    truth = log_cp10k(section.counts, columns=columns)[divided.study.test].toarray()
    detected = np.asarray((counts > 0).mean(axis=0)).ravel()[columns]
    return detected, coverage(truth, prediction.mean, prediction.sd, 0.9)


def main() -> None:
    arguments = arguments_of(__doc__, seeds=[0, 1]).parse_args()
    bands = [f"{low:.0%} to {high:.0%}" for low, high in BANDS]
    print(f"| section | detected | never detected | {' | '.join(bands)} |")
    print(f"|---|--:|--:|{'--:|' * len(BANDS)}")
    for path in arguments.sections:
        section, compute = hs.read(path), hs.Compute(store=arguments.store)
        pairs = [covered(section, seed, compute) for seed in arguments.seeds]
        detected, fraction = (np.concatenate(part) for part in zip(*pairs, strict=True))
        masks = [detected > 0, detected <= 0]
        masks += [(detected > low) & (detected <= high) for low, high in BANDS]
        cells = [f"{fraction[mask].mean():.3f} ({mask.sum() // len(pairs)})" for mask in masks]
        print(f"| {section.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
