"""Names of genes across files: symbols, Ensembl identifiers, and the species that they are of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Int, frozen
from histosge.errors import DataError

__all__ = ["GeneNames", "united"]

# an Ensembl identifier of a gene: the letters of a species, none for human, and eleven digits; a version may follow
_ENSEMBL = re.compile(r"(ENS([A-Z]{3,4})?G\d{11})(\.\d+)?")
# genomes of 10x references for two species stand before each name
_GENOME = re.compile(r"^(GRCh3[78]|hg19|hg38|mm10|mm39|GRCm3[89])_+")
_SPECIES = {"": "human", "MUS": "mouse"}
# a smaller share of names of another species is a few transgenes or viruses
_MIXED = 0.1
# symbols that decide a species by their case: fewer tell nothing
_LEAST_SYMBOLS = 10
_MAJORITY = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class GeneNames:
    """Symbol and Ensembl identifier of each gene of a file.

    Parameters
    ----------
    symbols
        Empty where only an identifier is known.
    ids
        Without their version; empty where only a symbol is known.
    """

    symbols: Array
    ids: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbols", frozen(np.asarray(self.symbols, dtype=str)))
        object.__setattr__(self, "ids", frozen(np.asarray(self.ids, dtype=str)))

    @classmethod
    def of(cls, names: Iterable[object], ids: Iterable[object] | None = None) -> GeneNames:
        """Return the names of a file, whose columns may be symbols or identifiers.

        Examples
        --------
        >>> GeneNames.of(["EPCAM", "ENSG00000198851.4"]).ids.tolist()
        ['', 'ENSG00000198851']
        """
        symbols = [_GENOME.sub("", str(name)) for name in names]
        identifiers = list(map(_ensembl, symbols))
        if ids is not None:
            beside = (_ensembl(_GENOME.sub("", str(name))) for name in ids)
            identifiers = [first or second for first, second in zip(beside, identifiers, strict=True)]
        shown = ["" if _ensembl(symbol) else symbol for symbol in symbols]
        return cls(np.array(shown, dtype=str), np.array(identifiers, dtype=str))

    def __len__(self) -> int:
        return len(self.symbols)

    def take(self, index: Array) -> GeneNames:
        """Return the names at ``index``."""
        return GeneNames(self.symbols[index], self.ids[index])

    @property
    def shown(self) -> Array:
        """The symbol of each gene, or its identifier where it has none."""
        return np.where(self.symbols != "", self.symbols, self.ids)

    @property
    def species(self) -> str:
        """Species by the identifiers, else by the case of the symbols: EPCAM is human, Epcam of the mouse.

        Empty where the names do not tell. Other species of Ensembl are called by their letters, as ``DAR``.

        Raises
        ------
        DataError
            When genes of two species are there.

        Examples
        --------
        >>> GeneNames.of(["ENSMUSG00000045394"] * 2).species
        'mouse'
        """
        votes = Counter(
            _SPECIES.get(letters, letters)
            for letters in map(_letters, self.ids.tolist())
            if letters is not None
        )
        symbols = [symbol for symbol, name in zip(self.symbols, self.ids, strict=True) if symbol and not name]
        if not votes and len(symbols) >= _LEAST_SYMBOLS:
            votes = Counter(filter(None, map(_by_case, symbols)))
        total = sum(votes.values())
        ranked = votes.most_common(2)
        if len(ranked) > 1 and ranked[1][1] >= _MIXED * total:
            (first, _), (second, _) = ranked
            raise DataError(
                f"Expected genes of one species, got {votes[first]} of {first} and {votes[second]} of {second}. Keep "
                "the profiles and genes of one."
            )
        return ranked[0][0] if ranked and ranked[0][1] >= _MAJORITY * total else ""

    def positions_in(self, other: GeneNames) -> Int[np.ndarray, " n"]:
        """Return the position of each gene in another list, −1 for one that is not there.

        Identifiers are compared first, then symbols without regard to case; a symbol that stands for several genes of
        either list is not matched.

        Examples
        --------
        >>> names = GeneNames.of(["EPCAM", "CD3E"], ["ENSG00000119888", "ENSG00000198851"])
        >>> GeneNames.of(["CD3e", "ENSG00000119888", "MUC2"]).positions_in(names).tolist()
        [1, 0, -1]
        """
        by_id = {name: at for at, name in enumerate(other.ids.tolist()) if name}
        result = np.array([by_id.get(name, -1) for name in self.ids.tolist()], dtype=np.intp)
        own, others = (list(map(str.casefold, names.symbols.tolist())) for names in (self, other))
        once = _once(others)
        unique, taken = _once(own), set(result.tolist())
        for row in np.flatnonzero(result < 0):
            at = once.get(own[row], -1) if own[row] in unique else -1
            # two identifiers that differ are two genes, whatever their symbols
            if at >= 0 and at not in taken and not (self.ids[row] and other.ids[at]):
                result[row] = at
        return result


def united(parts: Sequence[GeneNames]) -> tuple[GeneNames, list[Int[np.ndarray, " n"]]]:
    """Return the genes of several files, each once, and the position of each file's genes among them.

    A file that has symbols and identifiers connects those that have only one of both. Genes are in the order of their
    identifiers and symbols, whatever the order of the files.

    Raises
    ------
    DataError
        When a file has a gene twice.
    """
    pairs = {
        (s, i)
        for part in parts
        for s, i in zip(part.symbols.tolist(), part.ids.tolist(), strict=True)
        if s and i
    }
    symbol_of = {name: symbol for symbol, name in sorted(pairs, reverse=True)}
    # a symbol of two identifiers stands for neither
    ambiguous = {symbol for symbol, number in Counter(symbol for symbol, _ in pairs).items() if number > 1}
    id_of = {symbol: name for symbol, name in pairs if symbol not in ambiguous}
    keyed = [
        [
            (name or id_of.get(symbol, ""), "" if name or symbol in id_of else symbol)
            for symbol, name in zip(part.symbols.tolist(), part.ids.tolist(), strict=True)
        ]
        for part in parts
    ]
    for keys in keyed:
        _refuse_repeated(keys)
    keys = sorted(set().union(*keyed))
    at = {key: position for position, key in enumerate(keys)}
    symbols = np.array([symbol_of.get(name, symbol) for name, symbol in keys], dtype=str)
    names = GeneNames(symbols, np.array([name for name, _ in keys], dtype=str))
    return names, [np.array([at[key] for key in part], dtype=np.intp) for part in keyed]


def _refuse_repeated(keys: list[tuple[str, str]]) -> None:
    repeated = [key for key, number in Counter(keys).items() if number > 1]
    if repeated:
        name = "".join(repeated[0])
        raise DataError(
            f"Expected every gene once, got '{name}' twice ({len(repeated)} such genes). Add up or leave out its "
            "repeats, or give Ensembl identifiers that tell them apart."
        )


def _ensembl(name: str) -> str:
    match = _ENSEMBL.fullmatch(name.strip())
    return match.group(1) if match else ""


def _letters(name: str) -> str | None:
    match = _ENSEMBL.fullmatch(name)
    return None if match is None else match.group(2) or ""


def _by_case(symbol: str) -> str:
    """Return the species whose symbols are written like this one; nothing for one without two letters."""
    letters = [letter for letter in symbol if letter.isalpha()]
    if len(letters) < 2:
        return ""
    if all(letter.isupper() for letter in letters):
        return "human"
    return "mouse" if letters[0].isupper() and sum(map(str.isupper, letters)) == 1 else ""


def _once(names: list[str]) -> dict[str, int]:
    """Return the position of each name that occurs once."""
    number = Counter(names)
    return {name: at for at, name in enumerate(names) if name and number[name] == 1}
