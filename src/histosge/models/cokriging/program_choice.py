"""How many directions of gene programs a fit takes: as many as predict spots left out better, or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.metrics.given_depth import partial_correlation
from histosge.metrics.pearson import pearson

from .eigensolver import Eigendecomposition
from .folds import Folds, LeftOut
from .inducing_points import evenly
from .loadings import Shrinkage

__all__ = ["ProgramChoice", "choose_programs"]

# numbers of directions that are compared: of other patients' sections 15 are worth most on her2st
_NUMBERS = (0, 5, 15)
# spots that the choice is made at
_SPOTS = 1000
# the squared error must fall by so many standard errors
_STANDARD_ERRORS = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class ProgramChoice:
    """The chosen rule of loadings, and what gene programs were worth.

    Parameters
    ----------
    shrinkage
        With the chosen number of directions.
    summary
        ``used`` of the ``given`` directions; for each number compared the mean over genes of r and of r given depth of
        spots left out, and their mean squared error in weighted standard deviations.
    """

    shrinkage: Shrinkage
    summary: dict[str, Any]


def choose_programs(
    shrinkage: Shrinkage,
    programs: Float[np.ndarray, "k g"],
    *,
    values: Float[np.ndarray, "n g"],
    eigen: Eigendecomposition,
    fold: Int[np.ndarray, " n"],
    sections: Int[np.ndarray, " n"],
    rows: Int[np.ndarray, " l"],
    log_depth: Float[np.ndarray, " n"],
) -> ProgramChoice:
    """Compare predictions of spots by factors whose loadings are found without them, with and without programs.

    Loadings that have seen the spots would always do without programs, because they fit these spots better.

    Parameters
    ----------
    shrinkage
        The rule without programs.
    programs
        Directions in the units of the values.
    values
        Standardised, weighted expression of the training spots.
    eigen
        Of their covariance.
    fold, sections, log_depth
        Fold, section and log depth of each spot.
    rows
        Spots to predict, all of one section.
    """
    rows = rows[evenly(len(rows), _SPOTS)]
    measured, worth, errors = values[rows], {}, {}
    rules = {number: shrinkage.with_leading(programs[:number]) for number in _NUMBERS}
    for number, rule in rules.items():
        folds = Folds.of(values, fold, rule)
        left_out = LeftOut.of(eigen, folds, rows=rows, sections=sections, gene_weight=0.0)
        predicted = left_out.expression(slice(None))
        errors[number] = ((measured - predicted) ** 2).mean(axis=1)
        r = np.nan_to_num(pearson(measured, predicted))
        given_depth = np.nan_to_num(partial_correlation(measured, predicted, log_depth[rows]))
        worth[str(number)] = {
            "r_loo": float(r.mean()),
            "r_loo_given_depth": float(given_depth.mean()),
            "mse": float(errors[number].mean()),
        }
    best = min(_NUMBERS, key=lambda number: errors[number].mean())
    used = best if _is_better(errors[0] - errors[best]) else 0
    summary = {"given": len(programs), "used": min(used, len(programs)), "worth": worth}
    return ProgramChoice(rules[used], summary)


def _is_better(gain: Array) -> bool:
    """Say whether a mean is above 0 by more than its standard error allows."""
    return bool(gain.mean() > _STANDARD_ERRORS * gain.std() / max(len(gain), 1) ** 0.5 and gain.mean() > 0)
