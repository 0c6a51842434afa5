"""What gene programs are worth, beside two controls: exchanged genes, and another organ.

    python benchmarks/programs.py ../shared/data [--seeds 3] [--section her2st/C2]
    python benchmarks/programs.py ../shared/data --captured
    python benchmarks/programs.py ../shared/data --cells
    python benchmarks/programs.py ../shared/data --unmeasured

The first command fits each section to half of its spots without programs and with those of: other patients'
sections of the same organ (counts only), the same with the genes exchanged, and another organ. Printed are r, r given
depth and the mean squared error at the other half, without programs, and their changes in per cent. ``captured`` is the
share of the section's reproducible variance that the first 15 directions span: products of two halves of the molecules,
projected on the directions, over all products. No model is in it, and ``--captured`` prints it alone.

``--cells`` compares single cells with sums of cells as source: half of a Xenium section makes the programs, the other
half is divided into spots of 55 µm.

``--unmeasured`` fits a panel of 300 genes, predicts the other variable genes through programs at the spots that were
not fitted, and compares the stated r with the true one. Nothing else is known of the section than the counts of the
panel. ``true r`` is that with counts normalised by the total over the panel, as those of the panel are; ``true r, all``
that with counts normalised by the total over all genes.
"""

from __future__ import annotations

import warnings
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from scipy import sparse

import histosge as hs
from histosge._runtime.types import Array
from histosge.evaluation.study import Study, choose_genes, encode_study, gather_samples
from histosge.metrics.given_depth import partial_correlation
from histosge.metrics.intervals import coverage
from histosge.metrics.pearson import pearson
from histosge.models.base import predict
from histosge.programs.alignment import AlignedPrograms
from histosge.programs.gene_names import GeneNames
from histosge.programs.gene_programs import Programs
from histosge.programs.profiles import of_matrix
from histosge.section.expression import depth, log_cp10k, log_depth

BREAST, BULB = ("her2st/C2", "her2st/C4", "her2st/C5"), ("mob/MOB1",)
_DIRECTIONS = 15


def exchanged(programs: Programs, seed: int = 0) -> Programs:
    """Return programs whose genes are exchanged at random: same variances, no meaning."""
    order = np.random.default_rng(seed).permutation(len(programs.genes))
    return replace(programs, directions=programs.directions[:, order])


def with_symbols(section: hs.Section, names: hs.Section) -> hs.Section:
    """Return a section of Ensembl identifiers with the symbols that another section has for them."""
    symbol = dict(zip(names.gene_ids.tolist(), names.genes.tolist(), strict=True))
    genes = [symbol.get(name, name) for name in section.gene_ids.tolist()]
    unique = [
        gene if genes.count(gene) == 1 else name for gene, name in zip(genes, section.gene_ids, strict=True)
    ]
    return replace(section, genes=np.array(unique))


@cache
def breast(data: Path) -> Programs:
    """Return programs of other patients' sections."""
    return hs.programs.build(sorted((data / "her2st_counts").glob("*.tsv.gz")))


@cache
def cortex(data: Path) -> Programs:
    """Return programs of another organ, whose identifiers get the symbols of a third section."""
    names = hs.read(data / "crc16")
    sections = [hs.read(data / "dlpfc" / part) for part in ("151673", "151674")]
    return hs.programs.build([with_symbols(section, names) for section in sections])


def banks(data: Path, name: str) -> Iterator[tuple[str, Programs]]:
    """Yield the programs to compare for a section."""
    if name in BREAST:
        own = breast(data)
        yield from (("other patients", own), ("exchanged genes", exchanged(own)), ("cortex", cortex(data)))
        return
    # another organ of the mouse has symbols where these sections have identifiers
    own = hs.programs.build(data / "mob" / "MOB2")
    yield from (("MOB2", own), ("exchanged genes", exchanged(own)))


def scores(study: Study, model: str = "cokriging") -> tuple[float, float, float]:
    """Return r, r given depth and mean squared error at the test spots."""
    recipe, panel = hs.Recipe(model), choose_genes(study)
    inputs = encode_study(study, recipe)
    predictor = recipe.build().fit(gather_samples(study, panel, inputs), seed=study.seed)
    prediction = predict(predictor, inputs.take(study.test)).mean
    truth = log_cp10k(study.target.counts, columns=panel.columns).toarray()[study.test]
    covariate = log_depth(depth(study.target.counts))[study.test]
    r, partial = pearson(truth, prediction), partial_correlation(truth, prediction, covariate)
    error = float(((truth - prediction) ** 2).mean())
    return float(np.nan_to_num(r).mean()), float(np.nan_to_num(partial).mean()), error


def captured(section: hs.Section, programs: Programs, number: int = _DIRECTIONS) -> float:
    """Return the share of the reproducible variance of 1000 variable genes that the first directions span."""
    panel = choose_genes(Study.of(section, "random:0.5", genes="hvg:1000"))
    aligned = AlignedPrograms.of([programs], panel.names, section.gene_ids[panel.columns], where=section.name)
    first = sparse.csr_matrix(section.counts, dtype=np.int64, copy=True)
    first.data = np.random.default_rng(0).binomial(first.data, 0.5)
    whole = log_cp10k(section.counts, columns=panel.columns).toarray()
    sd = np.maximum(whole.std(axis=0), 1e-6)
    halves = [
        log_cp10k(sparse.csr_matrix(part), columns=panel.columns).toarray()
        for part in (first, section.counts - first)
    ]
    left, right = ((half - half.mean(axis=0)) / sd for half in halves)
    axes = aligned.directions[:number].T
    return float(((left @ axes) * (right @ axes)).sum() / (left * right).sum())


def shares(data: Path, sections: list[str]) -> None:
    """Print what programs capture of each section."""
    print("| section | programs | captured by 5 | captured by 15 |\n|---|---|--:|--:|")
    for name in sections:
        section = hs.read(data / name)
        for label, programs in banks(data, name):
            first, more = (captured(section, programs, number) for number in (5, _DIRECTIONS))
            print(f"| {name} | {label} | {first:.3f} | {more:.3f} |", flush=True)


def worth(data: Path, sections: list[str], seeds: int, split: str) -> None:
    """Print the table of sections and programs."""
    print("| section | programs | captured | r | r given depth | MSE |\n|---|---|--:|--:|--:|--:|")
    for name in sections:
        section = hs.read(data / name)
        studies = [Study.of(section, split, genes="hvg:1000", seed=seed) for seed in range(seeds)]
        alone = np.mean([scores(study) for study in studies], axis=0)
        print(f"| {name} | none | | {alone[0]:.4f} | {alone[1]:.4f} | {alone[2]:.4f} |", flush=True)
        for label, programs in banks(data, name):
            means = np.mean([scores(replace(study, programs=(programs,))) for study in studies], axis=0)
            change = 100 * (means / alone - 1)
            share = captured(section, programs)
            print(
                f"| {name} | {label} | {share:.3f} | {change[0]:+.1f} % | {change[1]:+.1f} % | {change[2]:+.2f} % |"
            )


def cells(data: Path) -> None:
    """Print what single cells and sums of them capture of spots."""
    from histosge.evaluation.fine_truth.pseudo_spots import LAYOUTS, pseudo_spots
    from histosge.evaluation.fine_truth.read_truth import read_truth

    truth = read_truth(data / "xenium_breast_rep1")
    left = truth.points.xy[:, 0] < np.median(truth.points.xy[:, 0])
    section = pseudo_spots(truth, LAYOUTS["visium"], seed=0).section
    inside = section.spots.xy[:, 0] >= np.median(truth.points.xy[:, 0])
    target = section.take(np.flatnonzero(inside))
    counts, xy = sparse.csr_matrix(truth.counts[left]), truth.points.xy[left]
    rng = np.random.default_rng(0)
    print("| source | profiles | captured by 5 | captured by 15 |\n|---|--:|--:|--:|")
    for label, matrix in _sums(counts, xy, rng):
        profiles = of_matrix(label, matrix, GeneNames.of(truth.genes))
        programs = hs.programs.build(profiles)
        shares = [captured(target, programs, number) for number in (5, 15)]
        print(f"| {label} | {programs.profiles} | {shares[0]:.3f} | {shares[1]:.3f} |")
        if label == "single cells":
            shares = [captured(target, exchanged(programs), number) for number in (5, 15)]
            print(
                f"| single cells, genes exchanged | {programs.profiles} | {shares[0]:.3f} | {shares[1]:.3f} |"
            )
    spots = section.take(np.flatnonzero(~inside))
    programs = hs.programs.build(spots)
    shares = [captured(target, programs, number) for number in (5, 15)]
    print(f"| spots of the same half | {programs.profiles} | {shares[0]:.3f} | {shares[1]:.3f} |")


def _sums(
    counts: sparse.csr_matrix, xy: Array, rng: np.random.Generator
) -> Iterator[tuple[str, sparse.csr_matrix]]:
    """Yield single cells, sums of cells drawn at random, and sums of neighbouring cells."""
    from scipy.spatial import cKDTree

    yield "single cells", counts
    for number in (5, 10, 20):
        order = rng.permutation(counts.shape[0])[: counts.shape[0] // number * number]
        yield f"sums of {number} random cells", _summed(counts, order.reshape(-1, number))
    tree = cKDTree(xy)
    for number in (5, 10, 20):
        centres = rng.choice(len(xy), len(xy) // number, replace=False)
        yield f"sums of {number} neighbouring cells", _summed(counts, tree.query(xy[centres], number)[1])


def _summed(counts: sparse.csr_matrix, members: Array) -> sparse.csr_matrix:
    rows = np.repeat(np.arange(len(members)), members.shape[1])
    ones = np.ones(len(rows))
    return sparse.csr_matrix(
        sparse.csr_matrix((ones, (rows, members.ravel())), (len(members), counts.shape[0])) @ counts
    )


def unmeasured(data: Path, seeds: int, panel_genes: int = 300) -> None:
    """Print the stated and the true r of genes outside a panel."""
    columns = (
        "predicted",
        "of",
        "stated r",
        "with genes exchanged",
        "true r",
        "true r, all",
        "r of the panel",
        "stated error of levels",
        "true error",
        "coverage of 90 %",
    )
    print(f"| section | programs | {' | '.join(columns)} |\n|---|---{'|--:' * len(columns)}|")
    own = breast(data)
    for name in BREAST:
        section = hs.read(data / name)
        for label, programs in (("other patients", own), ("exchanged genes", exchanged(own))):
            rows = np.array([_unmeasured(section, programs, seed, panel_genes) for seed in range(seeds)])
            shown, asked, *values = np.nanmean(rows, axis=0)
            words = " | ".join(f"{value:.3f}" for value in values)
            print(f"| {name} | {label} | {shown:.0f} | {asked:.0f} | {words} |", flush=True)


def _unmeasured(section: hs.Section, programs: Programs, seed: int, panel_genes: int) -> tuple[float, ...]:
    """Return how many genes are predicted, of how many, stated and true r, that of the panel, errors, coverage."""
    study = Study.of(section, genes="hvg:1000", seed=seed)
    genes = choose_genes(study)
    order = np.random.default_rng(seed).permutation(len(genes))
    panel, further = (genes.columns[np.sort(part)] for part in (order[:panel_genes], order[panel_genes:]))
    # the counts of the training spots and of the panel alone
    measured = replace(
        section, counts=section.counts[:, panel], genes=section.genes[panel], gene_ids=section.gene_ids[panel]
    )
    fit = hs.fit(measured.take(study.training), hs.Recipe(genes="all", seed=seed))
    locations = hs.at_spots(section.take(study.test))
    result = hs.predict_unmeasured(fit, measured.take(study.training), locations, programs)
    panel_depth = depth(measured.counts)[study.test, None]
    counts = section.counts[study.test]

    def by_panel(names: Array) -> Array:
        return np.log1p(1e4 * counts[:, section.columns(names)].toarray() / np.maximum(panel_depth, 1))

    known = np.isin(result.prediction.genes, section.genes[further])
    names = result.prediction.genes[known]
    own = hs.predict(fit, measured.take(study.training), locations)
    of_panel = float(np.nan_to_num(pearson(by_panel(own.genes), own.mean)).mean())
    if not known.any():
        return 0, len(further), *[np.nan] * 4, of_panel, *[np.nan] * 3
    pattern = result.prediction.mean[:, known]
    by_all = log_cp10k(section.counts, columns=section.columns(names)).toarray()[study.test]
    true = (float(np.nan_to_num(pearson(truth, pattern)).mean()) for truth in (by_panel(names), by_all))
    stated = (float(part[known].mean()) for part in (result.r, result.r_exchanged))
    levels = result.levels
    if levels is None:
        return len(names), len(further), *stated, *true, of_panel, *[np.nan] * 3
    expression, truth = result.expression, by_panel(names)
    assert expression.sd is not None
    wrong = float(np.sqrt(np.mean((levels.mean[known] - truth.mean(axis=0)) ** 2)))
    inside = coverage(truth, expression.mean[:, known], expression.sd[:, known], 0.9)
    return len(names), len(further), *stated, *true, of_panel, levels.error, wrong, float(inside.mean())


def main() -> None:
    """Print a table."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--split", default="random:0.5")
    parser.add_argument("--section", action="append")
    parser.add_argument("--captured", action="store_true")
    parser.add_argument("--cells", action="store_true")
    parser.add_argument("--unmeasured", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.cells:
        cells(arguments.data)
    elif arguments.captured:
        shares(arguments.data, arguments.section or [*BREAST, *BULB])
    elif arguments.unmeasured:
        unmeasured(arguments.data, arguments.seeds)
    else:
        worth(arguments.data, arguments.section or [*BREAST, *BULB], arguments.seeds, arguments.split)


if __name__ == "__main__":
    main()
