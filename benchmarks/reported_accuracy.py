"""Whether statements on each gene are true: reported accuracy against accuracy at spots that were not fitted.

    python benchmarks/reported_accuracy.py ../shared/data/her2st/C2 ../shared/data/crc16 synthetic:120 --seeds 0 1 2

Half of the spots of a section are fitted, genes chosen on them; the other half is predicted. ``synthetic:120`` is a
synthetic section of about 120 spots. A table for each question:

* mean r over genes, as reported and at the other half, and the same given depth;
* genes above 0.35, 0.5 and 0.6: reported (raw and shrunken), and at the other half: as measured there, and estimated
  without the noise of that measurement (a nonparametric deconvolution of Fisher's z, whose noise is 1/√(n − 3));
* coverage of the 90 % intervals, as stated and at the other half;
* the share of the genes of each grade whose r at the other half reaches the grade's bound, by the same deconvolution.

``--permuted`` fits expression whose spots were exchanged: nothing is to be found. ``--outside`` asks the same of the
genes outside the panel. ``--genes`` takes what a recipe takes, and ``detected:600``: a list of the 600 genes that most
spots of the section have, so that no gene is chosen by what the fitted half shows. ``--auxiliary`` adds sections to the
fit. ``--both`` fits the other half too: what differs between the halves, such as a spot almost without counts, cancels.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from divided_section import DividedSection, arguments_of, divide

import histosge as hs
from histosge._runtime.names import positions
from histosge.metrics.given_depth import partial_correlation
from histosge.metrics.intervals import coverage
from histosge.metrics.pearson import pearson
from histosge.models import predict
from histosge.prediction.accuracy import GRADES, GeneAccuracy
from histosge.prediction.unfitted_genes import extend
from histosge.section.expression import log_cp10k, log_depth

LEVELS = (0.35, 0.5, 0.6)
# grid of Fisher's z, and steps of the deconvolution
GRID, STEPS = np.linspace(-1.0, 2.0, 121), 400
# a gene outside the panel is asked about where so many of the fitted spots have a count
EXPRESSED = 0.1


@dataclass(frozen=True)
class Statements:
    """Statements on each gene of one fit, and what is so at the other half."""

    spots: int
    reported: np.ndarray
    reported_given_depth: np.ndarray
    shrunken: np.ndarray
    grade: np.ndarray
    true: np.ndarray
    true_given_depth: np.ndarray
    covered: float
    stated: float
    image_weight: float


def section_of(text: str) -> hs.Section:
    """Read a section, or make a synthetic one of about so many spots."""
    name, _, spots = str(text).partition(":")
    if name != "synthetic":
        return hs.read(Path(text))
    side = round(int(spots) ** 0.5)
    return hs.synthetic(columns=side, rows=side, genes=300, seed=int(spots)).section


def genes_of(text: str, section: hs.Section) -> str:
    """Return the choice of genes as a recipe takes it."""
    kind, _, number = text.partition(":")
    if kind != "detected":
        return text
    detected = np.asarray((section.counts > 0).mean(axis=0)).ravel()
    return ",".join(section.genes[np.argsort(-detected, kind="stable")[: int(number)]])


def permuted(divided: DividedSection, seed: int) -> DividedSection:
    """Exchange the expression of the training spots, depth with it."""
    order = np.random.default_rng(seed).permutation(len(divided.training))
    samples = divided.training
    samples = replace(samples, expression=samples.expression[order], depth=samples.depth[order])
    return replace(divided, training=samples)


def statements(divided: DividedSection, section: hs.Section, *, outside: bool) -> Statements:
    """Fit half, and compare the statements with the other half."""
    study = divided.study
    predictor = hs.Recipe().build().fit(divided.training, seed=study.seed)
    summary, truth = predictor.summary(), divided.truth
    depth = log_depth(np.asarray(section.counts[study.test].sum(axis=1)).ravel())
    if outside:
        factored = predictor.factored(divided.test)
        counts = section.counts[study.training]
        scores, sd = predictor.left_out_scores()
        basis = extend(factored.basis, scores, counts, section.genes, score_sd=sd)
        detected = np.asarray((counts > 0).mean(axis=0)).ravel()
        further = [str(name) for name in basis.genes[len(divided.training.genes) :]]
        further = [name for name in further if detected[positions([name], section.genes)[0]] >= EXPRESSED]
        prediction = replace(factored, basis=basis).whole(further, observation=True)
        basis = basis.take(basis.columns(further))
        truth = log_cp10k(section.counts, columns=positions(further, section.genes))[study.test].toarray()
    else:
        basis, prediction = predictor.basis, predict(predictor, divided.test)
    mean = prediction.mean.astype(np.float64)
    accuracy = GeneAccuracy.of(basis.r_loo, basis.r_loo_given_depth, spots=len(study.training))
    return Statements(
        spots=len(truth),
        reported=np.nan_to_num(basis.r_loo),
        reported_given_depth=np.nan_to_num(basis.r_loo_given_depth),
        shrunken=np.nan_to_num(accuracy.shrunken),
        grade=np.asarray(basis.grade),
        true=np.nan_to_num(pearson(truth, mean)),
        true_given_depth=np.nan_to_num(partial_correlation(truth, mean, depth)),
        covered=float(coverage(truth, prediction.mean, prediction.sd, 0.9).mean()),
        stated=dict(zip(*(summary["calibration"][name] for name in ("levels", "coverage")), strict=True))[
            0.9
        ],
        image_weight=summary["image_weight"],
    )


def shares_above(r: np.ndarray, spots: int, levels: tuple[float, ...]) -> list[float]:
    """Estimate the share of genes whose expected r exceeds each level, from r measured at some spots.

    The distribution of Fisher's z is the nonparametric one of highest likelihood (Kiefer & Wolfowitz 1956), by EM.
    """
    if not len(r):
        return [float("nan")] * len(levels)
    z = np.arctanh(np.clip(r, -0.99, 0.99))
    likelihood = np.exp(-0.5 * (z[:, None] - GRID) ** 2 * (spots - 3))
    weight = np.full(len(GRID), 1 / len(GRID))
    for _ in range(STEPS):
        posterior = likelihood * weight
        weight = (posterior / posterior.sum(axis=1, keepdims=True)).mean(axis=0)
    return [float(weight[np.arctanh(level) <= GRID].sum()) for level in levels]


def line(name: str, gene: Statements) -> str:
    """Return one row of the table."""
    g = len(gene.true)
    cells = [name, f"{gene.spots}", f"{gene.reported.mean():.3f} / {gene.true.mean():.3f}"]
    cells += [f"{gene.reported.mean() - gene.true.mean():+.3f}"]
    cells += [f"{gene.reported_given_depth.mean():.3f} / {gene.true_given_depth.mean():.3f}"]
    estimated = shares_above(gene.true, gene.spots, LEVELS)
    for level, share in zip(LEVELS, estimated, strict=True):
        raw, shrunken, there = ((r > level).sum() for r in (gene.reported, gene.shrunken, gene.true))
        cells.append(f"{raw} {shrunken} / {there} {share * g:.0f}")
    cells.append(f"{gene.stated:.3f} / {gene.covered:.3f}")
    for grade, bound in GRADES.items():
        called = gene.grade == grade
        # of the stricter correlation; the smaller of both for each gene would be too small by their noise
        both = (gene.true, gene.true_given_depth)
        share = min(shares_above(r[called], gene.spots, (bound,))[0] for r in both)
        cells.append(f"{called.sum()} {share:.2f}")
    cells.append(f"{gene.image_weight:g}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = arguments_of(__doc__, seeds=[0, 1])
    parser.add_argument("--genes", default="hvg:1000")
    parser.add_argument("--auxiliary", nargs="*", default=[], help="further sections of the fit")
    parser.add_argument("--both", action="store_true", help="fit the other half too")
    parser.add_argument("--outside", action="store_true", help="ask about genes outside the panel")
    parser.add_argument("--permuted", action="store_true", help="exchange the expression of the fitted spots")
    arguments = parser.parse_args()
    print_heads()
    differences_of: dict[str, list[tuple[float, float]]] = {}
    for text in arguments.sections:
        name = f"{Path(text).parent.name}/{Path(text).name}" if ":" not in str(text) else str(text)
        differences = differences_of.setdefault(name, [])
        for label, gene in fits_of(str(text), arguments):
            print(line(f"{name} {label}", gene), flush=True)
            plain, given_depth = gene.reported - gene.true, gene.reported_given_depth - gene.true_given_depth
            differences.append((float(plain.mean()), float(given_depth.mean())))
    means = {name: np.mean(differences, axis=0) for name, differences in differences_of.items()}
    for name, (plain, given_depth) in (*means.items(), ("all", np.mean(list(means.values()), axis=0))):
        print(f"mean difference, {name}: {plain:+.3f}, given depth {given_depth:+.3f}")


def fits_of(text: str, arguments: Namespace) -> Iterator[tuple[str, Statements]]:
    """Yield the statements of every fit to one section, with a label."""
    section, compute = section_of(text), hs.Compute(store=arguments.store)
    auxiliary = [section_of(str(other)) for other in arguments.auxiliary]
    recipe = hs.Recipe(genes=genes_of(arguments.genes, section))
    for seed in arguments.seeds:
        for other_half in (False, True)[: 1 + arguments.both]:
            divided = divide(
                section, recipe, seed=seed, compute=compute, auxiliary=auxiliary, other_half=other_half
            )
            divided = permuted(divided, seed) if arguments.permuted else divided
            gene = statements(divided, section, outside=arguments.outside)
            yield f"{seed}{' other half' * other_half}", gene


def print_heads() -> None:
    """Print the head of the table."""
    heads = ["section, seed", "spots", "mean r: reported / true", "difference", "given depth"]
    heads += [f"genes above {level}: reported, shrunken / true, estimated" for level in LEVELS]
    heads += [
        "coverage: stated / true",
        *(f"{grade}: genes, share that are" for grade in GRADES),
        "image weight",
    ]
    print(f"| {' | '.join(heads)} |\n|---|{'--:|' * (len(heads) - 1)}")


if __name__ == "__main__":
    main()
