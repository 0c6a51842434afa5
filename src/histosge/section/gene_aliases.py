"""Other names of marker genes: those of pathology reports, of antibodies, and of antigens of leukocytes."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files

from .marker_genes import are_markers, marker_genes, symbols_of

__all__ = ["aliases_of", "markers_in_order", "named_by_alias"]

_FILE = "gene_aliases.tsv"


@lru_cache(maxsize=1)
def _aliases() -> dict[str, tuple[str, ...]]:
    """Return the aliases of human symbols, and of their counterparts in the mouse."""
    text = files("histosge.section").joinpath(_FILE).read_text(encoding="utf-8")
    human = {
        row["symbol"]: tuple(row["aliases"].split())
        for row in csv.DictReader(text.splitlines(), delimiter="\t")
    }
    mouse = {gene.mouse: human[gene.human] for gene in marker_genes() if gene.mouse and gene.human in human}
    return human | mouse


def aliases_of(genes: Iterable[object], gene_ids: Iterable[object]) -> dict[str, tuple[str, ...]]:
    """Return the aliases of those genes that have some, by the name of the gene.

    The list is short: names of the shipped markers that pathologists and immunologists use (seal2023). An alias that is
    the name of another of the genes is left out.

    Examples
    --------
    >>> aliases_of(["ERBB2", "ACTB"], ["", ""])
    {'ERBB2': ('HER2', 'HER-2', 'NEU', 'HER2/NEU', 'CD340')}
    """
    names, identifiers = [str(name) for name in genes], [str(name) for name in gene_ids]
    taken = {name.upper() for name in names}
    result = {}
    for name, symbol in zip(names, symbols_of(names, identifiers), strict=True):
        known = _aliases().get(symbol or name, ())
        if free := tuple(alias for alias in known if alias not in taken):
            result[name] = free
    return result


def named_by_alias(name: str, genes: Iterable[object], gene_ids: Iterable[object]) -> str:
    """Return the gene that an alias stands for; empty where it stands for none of them.

    Examples
    --------
    >>> named_by_alias("her2", ["ACTB", "ERBB2"], ["", ""])
    'ERBB2'
    """
    upper = name.upper()
    for gene, aliases in aliases_of(genes, gene_ids).items():
        if upper in aliases:
            return gene
    return ""


def markers_in_order(genes: Iterable[object], gene_ids: Iterable[object]) -> tuple[str, ...]:
    """Return the known markers among genes: those that pathology reports name first, as the list of aliases has them.

    Examples
    --------
    >>> markers_in_order(["ACTB", "COL1A1", "MKI67", "ERBB2"], [""] * 4)
    ('ERBB2', 'MKI67', 'COL1A1')
    """
    names, identifiers = [str(name) for name in genes], [str(name) for name in gene_ids]
    rank = {symbol: row for row, symbol in enumerate(_aliases())}
    called = [symbol or name for name, symbol in zip(names, symbols_of(names, identifiers), strict=True)]
    known = are_markers(names, identifiers)
    rows = [row for row in range(len(names)) if known[row]]
    return tuple(names[row] for row in sorted(rows, key=lambda row: (rank.get(called[row], len(rank)), row)))
