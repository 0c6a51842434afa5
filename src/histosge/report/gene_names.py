"""The genes of a page: what they are called, by which other names they are found, and which are shown first."""

from __future__ import annotations

import numpy as np

from histosge._runtime.names import positions
from histosge._runtime.types import Array, Float
from histosge.figures.markers import genes_by_pattern
from histosge.prediction.accuracy import NO_GRADE
from histosge.prediction.factored import FactoredPrediction
from histosge.section.gene_aliases import aliases_of
from histosge.section.gene_families import families_of
from histosge.section.marker_genes import symbols_of

from .contents import Contents

__all__ = ["gene_groups", "gene_labels", "identifiers", "other_names"]

# groups at the head of the list, their genes that are listed there, and the fewest genes to group
_GROUPS, _LISTED, _FEWEST = 8, 6, 12
# genes compared, the most accurate first, and locations of their maps
_COMPARED, _SAMPLE = 400, 2000
# without a grade, the least correlation of a gene to show first
_LEAST = 0.15


def gene_labels(genes: Array) -> list[str]:
    """Return what the page calls each gene: its name, after its symbol where it is an identifier of a known marker."""
    symbols = symbols_of(genes, genes).tolist()
    return [f"{symbol} {name}" if symbol else str(name) for name, symbol in zip(genes, symbols, strict=True)]


def identifiers(contents: Contents) -> Array:
    """Return the identifier of each gene where it is not its name; empty where it is unknown."""
    return np.where(contents.gene_ids == contents.prediction.genes, "", contents.gene_ids)


def other_names(contents: Contents) -> dict[str, list[str]]:
    """Return the aliases of genes by their row: keys of JSON are texts."""
    genes = contents.prediction.genes
    aliases = aliases_of(genes, contents.gene_ids)
    rows = positions(aliases, genes).tolist()
    return {str(row): list(names) for row, names in zip(rows, aliases.values(), strict=True)}


def gene_groups(contents: Contents, first: str) -> list[list[int]]:
    """Return rows of the genes to list first: those whose maps are reliable, in groups of one pattern each.

    The group of the gene ``first``, which the page opens with, is the first one.

    Where too few are reliable, those that are accurate at all; empty where accuracy is unknown.
    """
    prediction = contents.prediction
    if not isinstance(prediction, FactoredPrediction):
        return []
    accuracy = np.fmin(prediction.basis.r_loo, prediction.basis.r_loo_given_depth)
    graded = np.asarray(prediction.basis.grade) != NO_GRADE
    rows = _best(accuracy, np.isfinite(accuracy) & graded)
    if len(rows) < _FEWEST:
        rows = _best(accuracy, np.nan_to_num(accuracy, nan=-1.0) >= _LEAST)
    if len(rows) < _FEWEST:
        return []
    at = np.unique(np.linspace(0, len(prediction) - 1, min(len(prediction), _SAMPLE)).astype(int))
    groups = genes_by_pattern(
        np.asarray(prediction.take(at).means(rows), dtype=np.float64),
        accuracy[rows],
        detected=_detected(contents)[rows],
        families=families_of(prediction.genes[rows], contents.gene_ids[rows]),
        n=_GROUPS,
    )
    listed = [[int(rows[column]) for column in group[:_LISTED]] for group in groups]
    row = int(positions([first], prediction.genes)[0])
    return sorted(listed, key=lambda group: row not in group)


def _best(accuracy: Array, among: Array) -> Array:
    """Return the rows of the most accurate genes of some."""
    rows = np.flatnonzero(among)
    return np.asarray(rows[np.argsort(-accuracy[rows], kind="stable")[:_COMPARED]])


def _detected(contents: Contents) -> Float[np.ndarray, " g"]:
    """Return the share of spots in which each gene was counted; 1 where that is unknown."""
    measured, genes = contents.measured, contents.prediction.genes
    if measured is None:
        return np.ones(len(genes))
    share = measured.matrix.getnnz(axis=0) / max(len(measured.spots), 1)
    columns = positions(genes, measured.genes)
    return np.where(columns >= 0, np.asarray(share)[columns], 1.0)
