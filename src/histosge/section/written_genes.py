"""Which genes are written: a question apart from which are fitted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from histosge._runtime.names import near_or_first
from histosge._runtime.types import Array, Int
from histosge.errors import UsageError

from .gene_aliases import named_by_alias
from .genes import GeneChoice, Genes
from .marker_genes import named_positions

__all__ = ["WrittenGenes", "named_or_refuse"]

_WORDS = ("default", "fitted", "all")


@dataclass(frozen=True, slots=True)
class WrittenGenes:
    """A choice of the genes to write.

    Parameters
    ----------
    kind
        ``"fitted"``: those that the model is fitted to. ``"all"``: every gene with counts. ``"default"``: those fitted,
        the shipped markers with counts (:func:`~histosge.section.marker_genes.marker_genes`), and all genes with a
        reliable map.
    names
        Written too.
    file
        Where ``names`` were read from; those that the section lacks are left out.

    Examples
    --------
    >>> WrittenGenes.parse("ERBB2, EPCAM")
    WrittenGenes(kind='default', names=('ERBB2', 'EPCAM'), file=None)
    >>> WrittenGenes.parse("fitted,ERBB2").kind
    'fitted'
    """

    kind: Literal["default", "fitted", "all"] = "default"
    names: tuple[str, ...] = ()
    file: Path | None = None

    @classmethod
    def parse(cls, genes: Genes | WrittenGenes) -> WrittenGenes:
        """Return the choice that a user's words mean.

        Parameters
        ----------
        genes
            ``default``, ``fitted`` or ``all``; names as a list, separated by commas, or a file of them, which are
            written beside the default ones; or a word and names: ``fitted,ERBB2``.

        Raises
        ------
        UsageError
            For no name, ``hvg:N``, or a file that is missing.
        """
        if isinstance(genes, WrittenGenes):
            return genes
        choice = GeneChoice.parse(genes)
        if choice.kind == "variable":
            raise UsageError(
                f"Expected `write_genes` as default, fitted, all, names, or a file of names, got '{choice}'. The most "
                "variable genes are chosen by `genes`, which says what is fitted."
            )
        if choice.kind == "all":
            return cls("all")
        words = [name for name in choice.names if name in _WORDS and choice.file is None]
        if len(words) > 1:
            raise UsageError(
                f"Expected one of {', '.join(_WORDS)} in `write_genes`, got {' and '.join(words)}."
            )
        names = tuple(name for name in choice.names if name not in words)
        return cls(words[0] if words else "default", names, choice.file)  # type: ignore[arg-type]

    def __str__(self) -> str:
        """Return the text that :meth:`parse` turns into this choice."""
        names = (str(self.file),) if self.file is not None else self.names
        return ",".join(names if names and self.kind == "default" else (self.kind, *names))


def named_or_refuse(
    names: tuple[str, ...], genes: Array, gene_ids: Array, what: str
) -> Int[np.ndarray, " n"]:
    """Return the position of each gene that a user names.

    Parameters
    ----------
    names
        Names, identifiers, or symbols of genes that are called by identifiers.
    genes, gene_ids
        Those there are.
    what
        What they are, for the sentence: ``"genes of section 'C2'"``.

    Raises
    ------
    UsageError
        For the first unknown name; near misses are offered.
    """
    result = named_positions(names, genes, gene_ids)
    for name, position in zip(names, result, strict=True):
        if position < 0:
            alias = named_by_alias(name, genes, gene_ids)
            hint = f" It is another name of {alias}; ask for that." if alias else near_or_first(name, genes)
            raise UsageError(f"'{name}' is not among the {len(genes)} {what}.{hint}")
    return result
