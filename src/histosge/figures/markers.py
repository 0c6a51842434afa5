"""Choose marker genes to draw: the clearest spatial patterns, without near copies of one another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.metrics.morans import morans_i, neighbour_means
from histosge.prediction.prediction import Prediction
from histosge.section.expression import log_cp10k
from histosge.section.gene_families import IMMUNOGLOBULIN, MITOCHONDRIAL, RIBOSOMAL, families_of
from histosge.section.section import Section

__all__ = ["choose_diverse_markers", "choose_markers", "choose_predicted_markers", "genes_by_pattern"]

# only the most abundant genes of the panel are compared: Moran's I of rare genes is mostly noise
_CANDIDATES = 1000
# genes compared by clustering, the most accurate first: of less accurate ones a map shows little
_CLUSTERED = 300
# a gene counted in a smaller share of spots is no map to show first
_EXPRESSED = 0.1
# a gene correlated more than this with a chosen one shows nothing new
_MAX_CORRELATION = 0.7


def choose_markers(section: Section, genes: Sequence[str] | Array, n: int = 4) -> tuple[str, ...]:
    """Return up to ``n`` measured genes with the largest Moran's I, leaving out near copies.

    Mitochondrial and ribosomal genes are left out where there are others.

    Parameters
    ----------
    section
        Where they were measured.
    genes
        To choose from.
    n
        How many.

    Examples
    --------
    >>> from histosge.datasets import synthetic
    >>> section = synthetic(columns=8, rows=8, genes=12).section
    >>> len(choose_markers(section, section.genes, 2))
    2
    """
    columns = section.columns(genes)
    families = families_of(section.genes[columns], section.gene_ids[columns])
    usable = ~np.isin(families, (MITOCHONDRIAL, RIBOSOMAL))
    columns = columns[usable] if usable.any() else columns
    abundance = np.asarray(section.counts[:, columns].sum(axis=0)).ravel()
    columns = columns[np.argsort(-abundance, kind="stable")[:_CANDIDATES]]
    expression = log_cp10k(section.counts, columns=columns).toarray()
    order = np.argsort(-morans_i(expression, section.spots.xy), kind="stable")
    # patterns are compared after smoothing: single spots carry too much noise
    smooth = neighbour_means(section.spots.xy) @ expression + expression / 6
    return tuple(str(section.genes[columns[index]]) for index in _without_copies(smooth, order, n))


def choose_diverse_markers(
    maps: Float[np.ndarray, "n g"],
    accuracy: Float[np.ndarray, " g"],
    *,
    detected: Float[np.ndarray, " g"],
    families: Array,
    n: int = 4,
) -> tuple[int, ...]:
    """Return the columns of up to ``n`` genes of different patterns, the most accurate of each.

    Maps are clustered by their correlation (Ward 1963; ward1963), into as many clusters as genes are asked for, and
    each cluster is shown by its most accurate gene. Left out are mitochondrial and ribosomal genes, immunoglobulins
    after the first, and genes counted in fewer than a tenth of the spots, as long as there are others.

    Parameters
    ----------
    maps
        Predictions at locations all over a section.
    accuracy
        Of each gene, such as the stricter of both leave-one-out correlations; NaN counts as 0.
    detected
        Share of spots in which each gene was counted.
    families
        As :func:`histosge.section.gene_families.families_of` returns them.
    n
        How many.
    """
    patterns = genes_by_pattern(maps, accuracy, detected=detected, families=families, n=n)
    chosen: list[int] = []
    for columns in patterns:
        # another immunoglobulin shows nothing new; the next of its pattern may
        repeated = IMMUNOGLOBULIN in families[chosen]
        new = [column for column in columns if not (repeated and families[column] == IMMUNOGLOBULIN)]
        chosen += new[:1]
    return tuple(chosen)


def genes_by_pattern(
    maps: Float[np.ndarray, "n g"],
    accuracy: Float[np.ndarray, " g"],
    *,
    detected: Float[np.ndarray, " g"],
    families: Array,
    n: int,
) -> tuple[tuple[int, ...], ...]:
    """Return the columns of genes in up to ``n`` groups of like maps, the most accurate gene and group first.

    What is compared and left out is said at :func:`choose_diverse_markers`, whose parameters these are;
    immunoglobulins stay.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    accuracy = np.nan_to_num(accuracy)
    varies = maps.std(axis=0) > 1e-6
    usable = ~np.isin(families, (MITOCHONDRIAL, RIBOSOMAL)) & varies
    preferred = np.flatnonzero(usable & (detected >= _EXPRESSED))
    candidates = preferred if len(preferred) >= n else np.flatnonzero(usable if usable.any() else varies)
    best = candidates[np.argsort(-accuracy[candidates], kind="stable")[:_CLUSTERED]]
    if len(best) <= n:
        return tuple((int(column),) for column in best)
    standard = (maps[:, best] - maps[:, best].mean(axis=0)) / maps[:, best].std(axis=0)
    cluster = fcluster(linkage(standard.T, "ward"), n, "maxclust")
    # in the order of accuracy, so that the first gene of a group is its most accurate one
    groups: dict[int, list[int]] = {}
    for column, label in zip(best.tolist(), cluster.tolist(), strict=True):
        groups.setdefault(int(label), []).append(int(column))
    return tuple(tuple(columns) for columns in groups.values())


def choose_predicted_markers(
    prediction: Prediction, n: int = 4, *, r_loo: Array | None = None
) -> tuple[str, ...]:
    """Return up to ``n`` genes whose prediction varies most, leaving out near copies.

    Parameters
    ----------
    prediction
        At locations all over a section.
    n
        How many.
    r_loo
        Leave-one-out correlation of each gene, where known: standard deviations are multiplied by it, so that genes
        that are predicted well come first.
    """
    values = np.asarray(prediction.mean, dtype=np.float64)
    reliable = values.std(axis=0) * (1.0 if r_loo is None else np.clip(r_loo, 0.0, 1.0))
    order = np.argsort(-reliable, kind="stable")[:_CANDIDATES]
    return tuple(str(prediction.genes[index]) for index in _without_copies(values, order, n))


def _without_copies(values: Array, order: Array, n: int) -> list[int]:
    """Return the first columns of an order; near copies of earlier ones only where nothing else is left."""
    standard = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9)
    chosen: list[int] = []
    for strict in (True, False):
        for candidate in order:
            correlation = np.abs(standard[:, chosen].T @ standard[:, candidate]) / len(values)
            copies = strict and (correlation > _MAX_CORRELATION).any()
            if len(chosen) < n and candidate not in chosen and not copies:
                chosen.append(int(candidate))
    return chosen
