"""Which genes a run writes, and what it says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.names import positions
from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.models.base import Model
from histosge.prediction.accuracy import RELIABLE
from histosge.prediction.factored import Basis
from histosge.section.genes import GenePanel
from histosge.section.marker_genes import are_markers, named_positions
from histosge.section.section import Section
from histosge.section.variable_genes import spots_with_counts
from histosge.section.written_genes import WrittenGenes, named_or_refuse

__all__ = ["GenesWritten", "Named", "few_genes_written", "genes_written", "named_genes"]

# locations × genes that prediction.h5ad holds by default: 2.4 GB of means and standard deviations before compression
_MOST_VALUES = 300_000_000


@dataclass(frozen=True, slots=True)
class Named:
    """Genes that a user names, under the names of the section.

    Parameters
    ----------
    shown
        For figures; they are written too.
    written
        To write beside others.
    missing
        Names in a file of genes to write that are no genes of the section.
    """

    shown: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class GenesWritten:
    """The genes of a file, and why they are there.

    Parameters
    ----------
    genes
        Names: those fitted first, then the others in the order of the section.
    choice
        As text.
    fitted, named, markers, reliable
        How many of them are fitted; and of the others how many are named by the user, are shipped markers, and have a
        reliable map. A gene counts once, by the first of these.
    predicted
        Genes that the factors hold, which ``histosge export`` can write.
    """

    genes: Array
    choice: str
    fitted: int
    named: int = 0
    markers: int = 0
    reliable: int = 0
    predicted: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return choice and numbers as plain values."""
        content = asdict(self)
        return {name: content[name] for name in content if name != "genes"}


def named_genes(
    show: Sequence[str], choice: WrittenGenes, *, section: Section, panel: GenePanel, model: Model
) -> Named:
    """Return the genes that a user names, before anything is computed.

    Parameters
    ----------
    show
        Genes for figures.
    choice
        What to write.
    section
        To be predicted.
    panel, model
        What is fitted: genes outside the panel are predicted through factors, from their own counts.

    Raises
    ------
    UsageError
        For a gene that is not in the section, or that the model does not predict.
    """
    others = section.has_counts and model.predicts_factors
    names = section.genes if others else panel.names
    ids = section.gene_ids if others else _ids(section, panel)
    what = f"genes of section '{section.name}'" if others else "genes fitted"
    try:
        at_shown = named_or_refuse(tuple(show), names, ids, what)
        if choice.file is None:
            return Named(_at(names, at_shown), _at(names, named_or_refuse(choice.names, names, ids, what)))
    except UsageError as error:
        if others:
            raise
        reason = (
            f"The model '{model.card.name}' predicts fitted genes alone"
            if section.has_counts
            else "From an image alone only fitted genes are predicted"
        )
        raise UsageError(f"{error} {reason}: add it to `genes`.") from None
    rows = named_positions(choice.names, names, ids)
    missing = tuple(name for name, row in zip(choice.names, rows, strict=True) if row < 0)
    if len(missing) == len(choice.names):
        raise UsageError(f"None of the {len(missing)} names in '{choice.file}' is among the {what}.")
    return Named(_at(names, at_shown), _at(names, rows[rows >= 0]), missing)


def few_genes_written(
    choice: WrittenGenes, written: GenesWritten, named: Named, *, locations: int
) -> tuple[GenesWritten, tuple[Message, ...]]:
    """Return the genes shown and named alone where all would make a file of many GB, and a message that says so.

    Only for a prediction by factors, whose file has all genes, and where the user chose no genes to write.

    Parameters
    ----------
    choice
        What the user asks for; only ``default`` is changed.
    written
        As :func:`genes_written` returns it.
    named
        Genes shown and named.
    locations
        How many.
    """
    values = locations * len(written.genes)
    if choice.kind != "default" or values <= _MOST_VALUES:
        return written, ()
    names = np.array(tuple(dict.fromkeys((*named.shown, *named.written))))
    text = (
        f"prediction.h5ad holds {len(names)} genes, those shown or named: {len(written.genes)} genes at {locations} "
        f"locations would take {8 * values / 1e9:.0f} GB. factors.h5ad has all {written.predicted}; `histosge export` "
        "writes others from it, and `write_genes` chooses."
    )
    few = GenesWritten(names, written.choice, fitted=0, named=len(names), predicted=written.predicted)
    return few, (Message("info", text),)


def genes_written(
    choice: WrittenGenes, named: Named, *, section: Section, panel: Array, basis: Basis | None
) -> GenesWritten:
    """Return the genes to write.

    Parameters
    ----------
    choice, named
        What the user asks for.
    section
        That is predicted.
    panel
        Names of the fitted genes.
    basis
        All genes that the factors hold; ``None`` for a model without factors, which writes the genes it is fitted to.
    """
    if basis is None or basis.fitted.all():
        return GenesWritten(np.asarray(panel), str(choice), fitted=len(panel), predicted=len(panel))
    others = ~basis.fitted
    column = section.columns(basis.genes)
    counted = spots_with_counts(section.counts)[column] > 0
    is_named = others & (positions(basis.genes, (*named.shown, *named.written)) >= 0)
    none = np.zeros(len(basis), dtype=bool)
    markers, reliable = none, none
    if choice.kind == "default":
        markers = others & counted & are_markers(basis.genes, section.gene_ids[column]) & ~is_named
        reliable = others & np.isin(basis.grade, RELIABLE) & ~is_named & ~markers
    further = is_named | markers | reliable | (others & counted if choice.kind == "all" else none)
    return GenesWritten(
        np.concatenate([np.asarray(panel), basis.genes[further]]),
        str(choice),
        fitted=len(panel),
        named=int(is_named.sum()),
        markers=int(markers.sum()),
        reliable=int(reliable.sum()),
        predicted=len(basis),
    )


def _ids(section: Section, panel: GenePanel) -> Array:
    """Return the identifiers of a panel; a section without counts gets its genes only later."""
    known = panel.columns.max(initial=-1) < len(section.gene_ids)
    return np.asarray(section.gene_ids[panel.columns] if known else panel.names)


def _at(names: Array, rows: Array) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(names[row]) for row in rows))
