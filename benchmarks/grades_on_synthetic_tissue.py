"""Whether grades are true where the truth is known: synthetic tissues, half of whose spots are fitted.

    python benchmarks/grades_on_synthetic_tissue.py --spots 160 240 320 --tissues 10

A gene is what its grade says where the *expected* r at the other half reaches the bound of the grade. There counts are
drawn again from the known rates, so that the noise of one measurement does not decide. For each number of spots, and
expression diluted to a lower depth, where fewer genes are predictable: reported and expected mean r, the standard
deviation of the error of Fisher's z beside 1/√(n − 3), and for each grade the genes and the share of them that reach
its bound, with and without depth given.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from divided_section import divide
from scipy import sparse

import histosge as hs
from histosge._runtime.names import positions
from histosge.metrics.given_depth import partial_correlation
from histosge.metrics.pearson import pearson
from histosge.models import predict
from histosge.prediction.accuracy import GRADES
from histosge.section.expression import TARGET_SUM, log_depth

Array = np.ndarray
REDRAWS = 30
RELIABLE = ("strong", "fair")


def tissue_of(spots: int, seed: int, dilution: float) -> tuple[hs.Section, Array]:
    """Return a section of about so many spots and a share of their counts, and the true rates at the spots."""
    side = round(spots**0.5)
    tissue = hs.synthetic(columns=side, rows=side, genes=300, seed=seed)
    section = tissue.section
    rates = np.expm1(tissue.truth(section.spots.xy, section.spots.diameter_um)) / TARGET_SUM
    counts = section.counts.toarray().astype(np.int64)
    thinned = np.random.default_rng(seed).binomial(counts, dilution)
    return replace(section, counts=sparse.csr_matrix(thinned.astype(np.float64))), rates


def expected(prediction: Array, rates: Array, total: Array, seed: int) -> tuple[Array, Array]:
    """Return the mean over redrawn counts of r, and of r given depth, between measurement and prediction."""
    rng, sums = np.random.default_rng(seed), np.zeros((2, prediction.shape[1]))
    for _ in range(REDRAWS):
        measured = np.log1p(rng.poisson(rates * total[:, None]) * (TARGET_SUM / total[:, None]))
        both = pearson(measured, prediction), partial_correlation(measured, prediction, log_depth(total))
        sums += np.nan_to_num(np.stack(both))
    return sums[0] / REDRAWS, sums[1] / REDRAWS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--spots", nargs="+", type=int, default=[160, 240, 320])
    parser.add_argument("--dilutions", nargs="+", type=float, default=[1.0, 0.1])
    parser.add_argument("--tissues", type=int, default=10)
    arguments = parser.parse_args()
    heads = ["spots fitted", "dilution", "mean r: reported / expected", "sd of z: error / 1/√(n − 3)"]
    heads += [f"{grade}: genes, share that are" for grade in (*GRADES, "reliable")]
    print(f"| {' | '.join(heads)} |\n|---|{'--:|' * (len(heads) - 1)}")
    for spots in arguments.spots:
        for dilution in arguments.dilutions:
            fits = [fit_of(spots, seed, dilution) for seed in range(arguments.tissues)]
            print(line(fits, dilution), flush=True)


def fit_of(spots: int, seed: int, dilution: float) -> tuple[int, Array, Array, Array]:
    """Return the number of spots fitted, and for each gene reported and expected r, r given depth, and the grade."""
    section, rates = tissue_of(spots, seed, dilution)
    divided = divide(section, seed=seed)
    predictor = hs.Recipe().build().fit(divided.training, seed=seed)
    prediction = predict(predictor, divided.test).mean.astype(np.float64)
    test = divided.study.test
    columns = positions(predictor.genes, section.genes)
    total = np.maximum(np.asarray(section.counts[test].sum(axis=1)).ravel(), 1.0)
    r, partial = expected(prediction, rates[np.ix_(test, columns)], total, seed)
    basis = predictor.basis
    return len(divided.training), np.nan_to_num(basis.r_loo), np.stack([r, partial]), basis.grade


def line(fits: list[tuple[int, Array, Array, Array]], dilution: float) -> str:
    """Return one row of the table."""
    spots = float(np.mean([fit[0] for fit in fits]))
    reported, grade = (np.concatenate([fit[part] for fit in fits]) for part in (1, 3))
    true = np.concatenate([fit[2] for fit in fits], axis=1)
    error = np.arctanh(np.clip(reported, -0.99, 0.99)) - np.arctanh(np.clip(true[0], -0.99, 0.99))
    cells = [f"{spots:.0f}", f"{dilution:g}", f"{reported.mean():.3f} / {true[0].mean():.3f}"]
    cells += [f"{error.std():.3f} / {(spots - 3) ** -0.5:.3f}"]
    for name, bound in (*GRADES.items(), ("reliable", GRADES["fair"])):
        called = np.isin(grade, RELIABLE if name == "reliable" else [name])
        share = (true[:, called].min(axis=0) >= bound).mean() if called.any() else float("nan")
        cells.append(f"{called.sum()}: {share:.2f}")
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
