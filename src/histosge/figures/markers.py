"""Which genes to show when nobody said: those with the clearest pattern in space, unlike each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from histosge._runtime.types import Array
from histosge.metrics.morans import morans_i, neighbour_means
from histosge.prediction.prediction import Prediction
from histosge.section.expression import log_cp10k
from histosge.section.section import Section

__all__ = ["choose_markers", "unlike"]

# genes looked through: the most abundant ones of the panel
_CANDIDATES = 1000
# a gene more alike than this to one already chosen shows nothing new
_ALIKE = 0.7


def choose_markers(section: Section, genes: Sequence[str] | Array, n: int = 4) -> tuple[str, ...]:
    """Return up to ``n`` of ``genes``: largest Moran's I first, leaving out near copies of those before.

    Parameters
    ----------
    section
        Where they were measured.
    genes
        To choose from.
    n
        How many.
    """
    columns = section.columns(genes)
    abundance = np.asarray(section.counts[:, columns].sum(axis=0)).ravel()
    columns = columns[np.argsort(-abundance, kind="stable")[:_CANDIDATES]]
    expression = log_cp10k(section.counts, columns=columns).toarray()
    order = np.argsort(-morans_i(expression, section.spots.xy), kind="stable")
    # alike in pattern: single spots carry too much noise to tell
    smooth = neighbour_means(section.spots.xy) @ expression + expression / 6
    return tuple(str(section.genes[columns[index]]) for index in _unlike(smooth, order, n))


def unlike(prediction: Prediction, n: int = 4, *, skill: Array | None = None) -> tuple[str, ...]:
    """Return up to ``n`` genes whose prediction varies most, leaving out near copies of those before.

    Parameters
    ----------
    prediction
        At places all over a section.
    n
        How many.
    skill
        Correlation of each gene with what is measured, where that is known: of what varies, that part counts.
    """
    values = np.asarray(prediction.mean, dtype=np.float64)
    varies = values.std(axis=0) * (1.0 if skill is None else np.clip(skill, 0.0, 1.0))
    order = np.argsort(-varies, kind="stable")[:_CANDIDATES]
    return tuple(str(prediction.genes[index]) for index in _unlike(values, order, n))


def _unlike(values: Array, order: Array, n: int) -> list[int]:
    """Return columns in their order, near copies of those before only where nothing else is left."""
    standard = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9)
    chosen: list[int] = []
    for strict in (True, False):
        for candidate in order:
            alike = np.abs(standard[:, chosen].T @ standard[:, candidate]) / len(values)
            if len(chosen) < n and candidate not in chosen and not (strict and (alike > _ALIKE).any()):
                chosen.append(int(candidate))
    return chosen
