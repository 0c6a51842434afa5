"""Genes of sections of which some are called by symbols and others by Ensembl identifiers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Bool
from histosge.programs.gene_names import GeneNames
from histosge.section.marker_genes import marker_genes

from .part import thousands

__all__ = ["JoinedGenes", "joined_genes"]


@dataclass(frozen=True, slots=True, eq=False)
class JoinedGenes:
    """One name for each gene, in all sections.

    Parameters
    ----------
    names
        Of each section: the names of its genes, in its order; a symbol in place of an identifier that was joined.
    ids
        The identifier of each symbol that stands for one.
    text
        What the page says about it; empty where nothing had to be joined.
    """

    names: tuple[Array, ...]
    ids: dict[str, str]
    text: str


def joined_genes(genes: Sequence[Array], gene_ids: Sequence[Array]) -> JoinedGenes:
    """Return one name for each gene: identifiers are joined with the symbols of other sections where that is certain.

    The symbols are those that sections carry beside identifiers, and where none does, those of the shipped list of
    markers. An identifier stays as it is where it has several symbols or its symbol several identifiers, where no other
    section has the symbol, and where its own section has a gene of that name already.

    Parameters
    ----------
    genes, gene_ids
        Names of the genes of each section, and their identifiers; the name where there is none.

    Examples
    --------
    >>> joined = joined_genes([np.array(["ENSG00000141736"]), np.array(["ERBB2"])], [np.array([""]), np.array([""])])
    >>> [names.tolist() for names in joined.names]
    [['ERBB2'], ['ERBB2']]
    """
    sections = [GeneNames.of(names, ids) for names, ids in zip(genes, gene_ids, strict=True)]
    carried = _certain((name, symbol) for part in sections for name, symbol in _pairs(part))
    symbol_of = _symbols(sections, carried)
    names, joined, alone = [], set(), set()
    for own, part in zip(genes, sections, strict=True):
        taken, result = set(part.symbols.tolist()), np.asarray(own).astype(object)
        for row in np.flatnonzero(_bare(part)):
            name = str(part.ids[row])
            symbol = symbol_of.get(name, "")
            if symbol and symbol not in taken:
                taken.add(symbol)
                joined.add(name)
                result[row] = symbol
            else:
                alone.add(name)
        names.append(result.astype(str))
    by_list = sum(name not in carried for name in joined)
    # single genes without a symbol are in every annotation
    differ = joined or len({bool(_bare(part).mean() > 0.5) for part in sections if len(part)}) > 1
    text = _text(len(joined) - by_list, by_list, len(alone)) if differ else ""
    return JoinedGenes(tuple(names), {symbol_of[name]: name for name in sorted(joined)}, text)


def _symbols(sections: Sequence[GeneNames], carried: dict[str, str]) -> dict[str, str]:
    """Return the symbol of each identifier that another section has a gene by."""
    listed = _certain(_shipped())
    known: dict[str, set[str]] = defaultdict(set)
    for part in sections:
        for name, symbol in zip(part.ids.tolist(), part.symbols.tolist(), strict=True):
            if symbol:
                known[symbol].add(name)
    result = {}
    for name in {str(name) for part in sections for name in part.ids[_bare(part)]}:
        symbol = carried.get(name) or listed.get(name, "")
        # no other identifier may have the symbol; a section that has none beside it does not contradict
        if symbol in known and known[symbol] <= {name, ""}:
            result[name] = symbol
    return result


def _pairs(part: GeneNames) -> Iterable[tuple[str, str]]:
    return (
        (name, symbol)
        for name, symbol in zip(part.ids.tolist(), part.symbols.tolist(), strict=True)
        if name and symbol
    )


def _bare(part: GeneNames) -> Bool[np.ndarray, " g"]:
    """Return which genes are called by an identifier and have no symbol."""
    return np.asarray((part.symbols == "") & (part.ids != ""))


def _shipped() -> Iterable[tuple[str, str]]:
    for gene in marker_genes():
        yield from (
            (name, symbol)
            for name, symbol in ((gene.human_id, gene.human), (gene.mouse_id, gene.mouse))
            if name
        )


def _certain(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the symbol of each identifier, without those that have several and symbols of several identifiers."""
    symbols, names = defaultdict(set), defaultdict(set)
    for name, symbol in pairs:
        symbols[name].add(symbol)
        names[symbol].add(name)
    return {
        name: symbol
        for name, (symbol, *more) in symbols.items()
        if symbol and not more and len(names[symbol]) == 1
    }


def _text(carried: int, listed: int, alone: int) -> str:
    parts = [
        f"{thousands(carried)} by symbols that a section has beside them" if carried else "",
        f"{thousands(listed)} by the list of markers of histosge" if listed else "",
    ]
    how = " and ".join(part for part in parts if part)
    text = "Some sections call genes by Ensembl identifiers. "
    text += (
        f"They were joined with genes of other sections, {how}."
        if how
        else "None could be joined with the others."
    )
    if alone:
        text += f" {thousands(alone)} of them stand alone: no other section has a symbol that is certainly theirs."
    return text
