"""Write any genes of a run, from its factors, in the format of another tool."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from histosge._runtime.seeds import refuse_seed
from histosge.errors import UsageError
from histosge.prediction.count_allocation import BACKGROUND, Kind
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.mean_depth import refuse_depth_adjusted
from histosge.section.genes import GeneChoice, Genes, select
from histosge.section.section import Section
from histosge.section.written_genes import named_or_refuse

from .layout.measured_section import OTHERS
from .own_files import refuse_foreign, refuse_inputs, refuse_mixture
from .run_record import read_run
from .writers import WRITERS, WriteOptions, Writer, factors, h5ad, spaceranger_cells

__all__ = ["ConservedCounts", "ExportResult", "export"]

# largest matrix, in bytes, that a format without streaming may hold in memory
_MAX_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class ConservedCounts:
    """The counts that were allocated to locations, and those that could not be.

    Parameters
    ----------
    kind, seed
        As given to :func:`export`.
    counts
        Sum of the counts allocated.
    counts_without_location, spots_without_location
        Counts of spots that are the parent of no location, and the number of these spots.
    background, counts_between_cells
        As given to :func:`export`, and the counts that it left between cells; ``None`` for locations without outlines.
    """

    kind: str
    seed: int
    counts: int
    counts_without_location: int
    spots_without_location: int
    background: float | None = None
    counts_between_cells: int | None = None


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What :func:`export` wrote.

    Parameters
    ----------
    path
        The file or folder.
    format
        Name of its writer.
    locations
        Number of locations.
    genes
        Names of the genes, in the order of the file.
    missing_genes
        Names in the user's file of genes that were not predicted.
    conserved
        Summary of the counts beside the prediction; ``None`` where none were asked for.
    """

    path: Path
    format: str
    locations: int
    genes: tuple[str, ...]
    missing_genes: tuple[str, ...] = ()
    conserved: ConservedCounts | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the result as values of JSON."""
        content = asdict(self) | {"path": str(self.path)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in content.items()}


def export(
    source: str | Path,
    out: str | Path,
    *,
    genes: Genes = "all",
    to: str = "h5ad",
    conserve: str | None = None,
    seed: int = 0,
    background: float = BACKGROUND,
) -> ExportResult:
    """Write genes of a run in a format of other tools.

    Parameters
    ----------
    source
        Folder of a run, or its ``factors.h5ad``, which also holds the measured counts: nothing else is needed.
    out
        File or folder to write. It appears whole or not at all.
    genes
        Names as a list or separated by commas; a file with one name or id a line; or ``"all"``.
    to
        Name of a format in :data:`~histosge.io.writers.WRITERS`.
    conserve
        ``"real"``, ``"rounded"`` or ``"drawn"``: also write counts that add up to those measured at each spot, in
        ``layers["conserved"]``; see :func:`histosge.conserve`. Only for ``h5ad``, and ``spaceranger_cells``, which has
        no other values and takes ``"rounded"`` by default.
    seed
        Seed of counts that are drawn.
    background
        Molecules per area between cells, relative to those inside, for ``conserve`` at cells with outlines; see
        :func:`histosge.conserve_cells`.

    Raises
    ------
    UsageError
        For files that do not exist, genes that were not predicted, unknown formats, and more genes than a format
        holds.
    DataError
        For a damaged file or a full disk.

    Examples
    --------
    >>> import histosge as hs
    >>> result = hs.export("results", "genes.ome.zarr", genes=["MBP"], to="omezarr")  # doctest: +SKIP
    """
    refuse_seed(seed)
    writer = WRITERS[to]
    _refuse_counts(writer, conserve)
    # refuse before anything is read
    writer.require()
    path, out = _factors_file(Path(source)), Path(out)
    refuse_foreign(out)
    refuse_inputs([out], [path, GeneChoice.parse(genes).file])
    _refuse_mixture(path)
    section, prediction = factors.section(path), factors.read(path)
    if conserve is not None and not section.has_counts:
        raise UsageError(f"Section '{section.name}' has no measured counts that `conserve` could allocate.")
    if conserve is not None:
        refuse_depth_adjusted(prediction.provenance, "Conserving counts")
    names, missing = _genes(section, prediction, genes)
    _refuse_size(writer, len(prediction), len(names))
    options = WriteOptions(names, conserve, seed, background)
    writer.write(out, section, prediction, options)
    conserved = None if conserve is None else _conserved(section, prediction.only(names), options, out)
    return ExportResult(
        path=Path(out),
        format=to,
        locations=len(prediction),
        genes=names,
        missing_genes=missing,
        conserved=conserved,
    )


def _refuse_counts(writer: Writer, conserve: str | None) -> None:
    """Refuse kinds of counts that do not exist, and formats without a layer for counts."""
    if conserve is None:
        return
    if conserve not in get_args(Kind):
        raise UsageError(f"`conserve` must be real, rounded or drawn, got '{conserve}'.")
    if not writer.holds_counts:
        able = " or ".join(name for name, other in WRITERS.items() if other.holds_counts)
        raise UsageError(f"The format {writer.name} has no layer for conserved counts. Choose {able}.")


def _refuse_size(writer: Writer, locations: int, genes: int) -> None:
    """Refuse a matrix that a format without streaming would hold in memory."""
    if not writer.streams and 4 * locations * genes > _MAX_BYTES:
        raise UsageError(
            f"{genes} genes at {locations} locations are too many for the format {writer.name}. Choose fewer `genes`, "
            "or the format h5ad."
        )


def _factors_file(source: Path) -> Path:
    if not source.exists():
        raise UsageError(f"There is nothing at '{source}'. Give the folder of a run, or its {factors.NAME}.")
    path = source / factors.NAME if source.is_dir() else source
    if not path.is_file():
        raise UsageError(
            f"'{source}' has no {factors.NAME}. Models that predict by factors write one; other tools open the "
            "prediction.h5ad of other models directly."
        )
    return path


def _refuse_mixture(path: Path) -> None:
    """Refuse factors that are not those of the run in their folder; a copy elsewhere has no run beside it."""
    if (path.parent / "run.json").is_file():
        refuse_mixture(path.parent, read_run(path.parent), path.name)


def _genes(
    section: Section, prediction: FactoredPrediction, genes: Genes
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the genes to write, and names in a file that were not predicted."""
    choice = GeneChoice.parse(genes)
    if choice.file is not None:
        panel = select(section, choice)
        # the file also has one column for the counts of all other genes, which is no gene
        return tuple(str(name) for name in panel.names if name != OTHERS), panel.missing
    if choice.kind != "names":
        return choice.among(prediction.genes, "the run"), ()
    ids = section.gene_ids[section.columns(prediction.genes)]
    rows = named_or_refuse(choice.names, prediction.genes, ids, "genes of the run")
    return tuple(dict.fromkeys(str(prediction.genes[row]) for row in rows)), ()


def _conserved(
    section: Section, prediction: FactoredPrediction, options: WriteOptions, out: Path
) -> ConservedCounts:
    """Return the sums of the counts with and without a location."""
    kind, seed = str(options.conserve), options.seed
    counts = section.counts[:, section.columns(prediction.genes)]
    if (between := _between_cells(out)) is not None:
        return ConservedCounts(
            kind, seed, round(counts.sum() - between), 0, 0, options.background, round(between)
        )
    # spots outside the predicted area are the parent of no location
    covered = np.isin(np.arange(len(section)), prediction.locations.parent)
    sums = np.asarray(counts.sum(axis=1)).ravel()
    return ConservedCounts(
        kind,
        seed,
        counts=int(sums[covered].sum()),
        counts_without_location=int(sums[~covered].sum()),
        spots_without_location=int((~covered).sum()),
    )


def _between_cells(path: Path) -> float | None:
    """Return the sum of the counts between cells in a file that was just written; ``None`` where it holds none."""
    import h5py

    folder = path.is_dir()
    name = "matrix/data" if folder else f"uns/{h5ad.BACKGROUND_COUNTS}/data"
    with h5py.File(path / spaceranger_cells.BETWEEN_CELLS if folder else path, "r") as file:
        held = file.get(name)
        return None if held is None else float(np.sum(held[:], dtype=np.float64))
