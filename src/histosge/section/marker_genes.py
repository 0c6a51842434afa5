"""Markers of common tissues, tumours and immune cells: the list that the package ships."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np

from histosge._runtime.names import positions
from histosge._runtime.types import Array, Bool, Int

__all__ = ["MarkerGene", "are_markers", "marker_genes", "named_positions", "symbols_of"]

_FILE = "marker_genes.tsv"


@dataclass(frozen=True, slots=True)
class MarkerGene:
    """A gene that is known for a tissue, a tumour or a kind of cell, and its counterpart in the mouse.

    Parameters
    ----------
    group
        What it is a marker of.
    human, human_id
        Symbol and Ensembl identifier; empty where there is none, or where it is not certain.
    mouse, mouse_id
        The same of the mouse.
    source
        Key of ``references.bib``: a textbook, or an article.
    """

    group: str
    human: str
    human_id: str
    mouse: str
    mouse_id: str
    source: str


@lru_cache(maxsize=1)
def marker_genes() -> tuple[MarkerGene, ...]:
    """Return the list, each gene once.

    Identifiers are those of Ensembl in the features of human and mouse Visium sections; a symbol that they give to
    several identifiers, or to none, has none here.

    Examples
    --------
    >>> next(gene.human_id for gene in marker_genes() if gene.human == "ERBB2")
    'ENSG00000141736'
    """
    text = files("histosge.section").joinpath(_FILE).read_text(encoding="utf-8")
    return tuple(MarkerGene(**row) for row in csv.DictReader(text.splitlines(), delimiter="\t"))


def are_markers(genes: Iterable[object], gene_ids: Iterable[object]) -> Bool[np.ndarray, " g"]:
    """Return which genes of a section are in the list, by symbol or by identifier.

    Examples
    --------
    >>> are_markers(["ERBB2", "Erbb2", "ABC"], ["", "", "ENSG00000119888.11"]).tolist()
    [True, True, True]
    """
    listed = marker_genes()
    symbols = {symbol for gene in listed for symbol in (gene.human, gene.mouse) if symbol}
    ids = {name for gene in listed for name in (gene.human_id, gene.mouse_id) if name}
    names, identifiers = _texts(genes), _texts(gene_ids)
    return np.array(
        [
            name in symbols or _bare(name) in ids or _bare(gene_id) in ids
            for name, gene_id in zip(names, identifiers, strict=True)
        ],
        dtype=bool,
    )


def symbols_of(genes: Iterable[object], gene_ids: Iterable[object]) -> Array:
    """Return the symbol of each gene that is called by its identifier, where the list has it; empty for others.

    Examples
    --------
    >>> symbols_of(["ENSG00000141736", "CD3E"], ["ENSG00000141736", "ENSG00000198851"]).tolist()
    ['ERBB2', '']
    """
    known = {gene.human_id: gene.human for gene in marker_genes() if gene.human_id}
    known |= {gene.mouse_id: gene.mouse for gene in marker_genes() if gene.mouse_id}
    called = zip(_texts(genes), _texts(gene_ids), strict=True)
    return np.array(
        [known.get(_bare(name), "") if name == ident else "" for name, ident in called], dtype=str
    )


def named_positions(
    names: Iterable[object], genes: Iterable[object], gene_ids: Iterable[object]
) -> Int[np.ndarray, " n"]:
    """Return the position of each gene that a user names, −1 for one that is not there.

    A name is compared with the names of the genes first, then with their identifiers, then, where genes are called by
    identifiers, with the symbols that the list has of them.

    Examples
    --------
    >>> named_positions(["ERBB2", "KRT5"], ["ENSG00000141736"], ["ENSG00000141736"]).tolist()
    [0, -1]
    """
    names, genes, gene_ids = _texts(names), _texts(genes), _texts(gene_ids)
    result = positions(names, genes)
    for among in (gene_ids, symbols_of(genes, gene_ids)):
        if (result < 0).any():
            result = np.where(result >= 0, result, positions(names, among))
    # no name is empty, but many symbols are
    return np.where(np.array([bool(name) for name in names], dtype=bool), result, -1)


def _texts(names: Iterable[object]) -> list[str]:
    return [str(name) for name in names]


def _bare(name: str) -> str:
    """Return an identifier without its version."""
    return name.split(".")[0] if name.startswith("ENS") else name
