"""What the audit's two tests of counts see: copies of a section, and scores above the noise ceiling.

python benchmarks/audit_limits.py ../shared/data/her2st/C2 ../shared/data/her2st/C4 …

Sections of one species are compared with each other (two measurements), and each with copies of itself. For the
ceiling, counts are drawn from a Poisson distribution around the measured ones, and predictions are the expected values,
alone and with a share of the drawn counts. Half of the spots are test spots, seeds 0 to 2, 1000 variable genes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from itertools import permutations
from pathlib import Path

import numpy as np
from scipy import sparse

import histosge as hs
from histosge.errors import UsageError
from histosge.evaluation.ceiling_alarm import ceiling_excess, halves_of
from histosge.evaluation.near_copies import copied_spots
from histosge.evaluation.plan import Plan
from histosge.evaluation.planned_studies import panel_of, study_of
from histosge.evaluation.study import Study, choose_genes, encode_study, gather_samples
from histosge.models.base import predict
from histosge.section.expression import log_cp10k
from histosge.section.multi_section import SectionGroup
from histosge.section.section import Section

_SEEDS = (0, 1, 2)


def copies(section: Section) -> Iterator[tuple[str, sparse.csr_matrix]]:
    """Yield copies of the counts of a section."""
    rng, counts = np.random.default_rng(0), sparse.csr_matrix(section.counts)
    yield "copy", counts
    for share in (0.5, 0.2, 0.1, 0.05):
        thinned = counts.copy()
        thinned.data = rng.binomial(counts.data.astype(int), share).astype(counts.dtype)
        yield f"copy, {share:g} of the molecules", sparse.csr_matrix(thinned)
    yield "copy of 20 spots", counts[rng.permutation(len(section))[:20]]


def measurements(
    sections: Mapping[str, Section],
) -> Iterator[tuple[str, sparse.csr_matrix, sparse.csr_matrix]]:
    """Yield two measurements: sections of one species, and two halves of the spots of a section."""
    for first, second in permutations(sections.values(), 2):
        try:
            group = SectionGroup.of(first, [second])
        except UsageError:
            continue
        counts = (
            part.counts[:, columns] for part, columns in zip((first, second), group.columns, strict=True)
        )
        yield f"{first.name}, {second.name}", *map(sparse.csr_matrix, counts)
    for section in sections.values():
        order = np.random.default_rng(0).permutation(len(section))
        counts = sparse.csr_matrix(section.counts)
        yield f"{section.name}, halves of its spots", counts[order[::2]], counts[order[1::2]]


def noise_shares(section: Section) -> dict[str, list[float]]:
    """Return the share of the noise that predictions seem to explain, by the share of the counts in them."""
    shares: dict[str, list[float]] = {}
    for seed in _SEEDS:
        study = Study.of(section, seed=seed)
        columns, rates = (
            choose_genes(study).columns,
            sparse.csr_matrix(section.counts, dtype=np.float64)[study.test],
        )
        drawn = rates.copy()
        drawn.data = np.random.default_rng(seed).poisson(rates.data).astype(np.float64)
        halves = halves_of(sparse.csr_matrix(drawn), columns, seed=seed)
        expected = log_cp10k(rates, columns=columns).toarray()
        for share in (0.0, 0.2, 0.5, 1.0):
            excess = ceiling_excess(share * halves.whole + (1 - share) * expected, halves)
            shares.setdefault(f"{share:g}", []).append(excess.noise_share)
    return shares


def shares_of_fits(section: Section) -> list[float]:
    """Return the same share for the baselines and three models of the package, fitted to half of the spots."""
    plan = Plan((section,), ("cokriging", "boosting", "pca-ridge"), seeds=_SEEDS)
    shares = []
    for trial in plan.trials():
        study, panel, model = study_of(plan, trial), panel_of(plan, trial), trial.recipe.build()
        inputs = encode_study(study, trial.recipe)
        predictor = model.fit(gather_samples(study, panel, inputs), seed=study.seed)
        halves = halves_of(sparse.csr_matrix(section.counts)[study.test], panel.columns, seed=study.seed)
        shares.append(ceiling_excess(predict(predictor, inputs.take(study.test)).mean, halves).noise_share)
    return shares


def main() -> None:
    """Print a line for each comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="+", type=Path)
    parser.add_argument("--fits", action="store_true", help="only the shares of the noise of fitted models")
    options = parser.parse_args()
    sections = {section.name: section for section in map(hs.read, options.sections)}
    if options.fits:
        for name, section in sections.items():
            shares = shares_of_fits(section)
            print(f"{name:20s} {len(shares)} fits, share of the noise at most {max(shares):.2f}")
        return
    pairs = [(name, first, second) for name, first, second in measurements(sections)]
    for section in sections.values():
        counts = sparse.csr_matrix(section.counts)
        pairs += [(f"{section.name}, {kind}", counts, copy) for kind, copy in copies(section)]
    for name, first, second in pairs:
        result = copied_spots(first, second)
        print(f"{name:40s} {result.pairs:5d} pairs, excess {result.excess:+.3f}, a copy: {result.certain}")
    for name, section in sections.items():
        text = "; ".join(
            f"{share} of the counts {min(values):.2f} to {max(values):.2f}"
            for share, values in noise_shares(section).items()
        )
        print(f"{name:20s} share of the noise: {text}")


if __name__ == "__main__":
    main()
