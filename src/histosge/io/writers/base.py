"""The interface of a writer: a format that predictions are written to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeAlias

from histosge.errors import UsageError
from histosge.prediction.count_allocation import BACKGROUND
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.prediction import Prediction
from histosge.section.locations import Locations
from histosge.section.section import Section

__all__ = ["AnyPrediction", "WriteOptions", "Writer"]

AnyPrediction: TypeAlias = Prediction | FactoredPrediction


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What a user chooses about a file beside its path and format.

    Parameters
    ----------
    genes
        Genes to write, in this order; ``None`` writes all that were predicted.
    conserve
        Kind of the counts to write beside the prediction, which add up to the measured counts of each spot; see
        :func:`histosge.conserve`. ``None`` writes none. Only writers with ``holds_counts`` take it.
    seed
        Seed of counts that are drawn at random.
    background
        Molecules per area between cells, relative to those inside; see :func:`histosge.conserve_cells`.
    """

    genes: tuple[str, ...] | None = None
    conserve: str | None = None
    seed: int = 0
    background: float = BACKGROUND

    def select(self, prediction: AnyPrediction) -> AnyPrediction:
        """Return the prediction restricted to :attr:`genes`.

        Raises
        ------
        UsageError
            For a gene that was not predicted; near misses are offered.
        """
        if self.genes is None:
            return prediction
        if isinstance(prediction, FactoredPrediction):
            return prediction.only(self.genes)
        columns = prediction.columns(self.genes)
        sd = None if prediction.sd is None else prediction.sd[:, columns]
        return replace(prediction, genes=prediction.genes[columns], mean=prediction.mean[:, columns], sd=sd)


@dataclass(frozen=True, slots=True)
class Writer:
    """A registry entry.

    Parameters
    ----------
    name
        What users call the format: ``--also NAME``, ``export --to NAME``.
    summary
        What it writes and which tools open it, for ``histosge list writers``.
    filename
        Name of the file or folder in the folder of a run; its suffix is that of the format.
    kind
        Whether the format is one ``"file"`` or a ``"folder"``.
    streams
        Whether memory stays bounded however many genes and locations there are.
    write
        Write a section's prediction to a path, and return the path. The file appears whole or not at all.
    all_genes
        Whether a run writes all fitted genes, or only those of the figures and known markers: in some formats a gene is
        a channel or a measurement of each object, and viewers do not open thousands of them.
    most_genes
        How many these are at most, where a format does not take all.
    holds_counts
        Whether the format has a layer for counts that add up to the measured ones.
    package
        Name of the package that must be importable, if it is not one that histosge always needs.
    needs_extra
        The extra of histosge that installs ``package``: ``pip install 'histosge[EXTRA]'``.
    recognises
        Whether a file or folder was written by ``write``, and nothing was added: only such a one is replaced. ``None``
        recognises nothing.
    refuse
        Raise a ``UsageError`` for a section and locations that the format cannot hold, before anything is computed;
        ``None`` refuses none.

    Examples
    --------
    >>> from histosge.io.writers import WRITERS
    >>> WRITERS["geojson"].suffix
    '.geojson'
    """

    name: str
    summary: str
    filename: str
    kind: Literal["file", "folder"]
    streams: bool
    write: Callable[[Path, Section, AnyPrediction, WriteOptions], Path]
    all_genes: bool = True
    most_genes: int = 400
    holds_counts: bool = False
    package: str | None = None
    needs_extra: str | None = None
    recognises: Callable[[Path], bool] | None = None
    refuse: Callable[[Section, Locations], object] | None = None

    @property
    def suffix(self) -> str:
        """Return how names of the format end: ``.ome.zarr``; a format with a fixed name ends in all of it."""
        return self.filename[max(0, self.filename.find(".")) :]

    def require(self) -> None:
        """Refuse a format whose package is not installed.

        Raises
        ------
        UsageError
            With the command that installs it.
        """
        if self.package is not None and find_spec(self.package) is None:
            extra = "" if self.needs_extra is None else f"histosge[{self.needs_extra}]"
            raise UsageError(
                f"The format {self.name} needs the package {self.package}, which is not installed. "
                f"Run: pip install '{extra or self.package}'"
            )
