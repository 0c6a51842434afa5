"""From the factors of a run to the files of other tools: any genes, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge.errors import UsageError
from histosge.prediction import count_allocation as conservation
from histosge.prediction.factored import FactoredPrediction
from histosge.section.genes import GeneChoice, Genes, select
from histosge.section.section import Section

from .writers import columns, factors, geojson, h5ad, omezarr, spatialdata
from .writers.measured import OTHERS

__all__ = ["FORMATS", "Conserved", "export"]

# what a format that cannot be streamed may hold at a time
_MOST_BYTES = 1 << 30
_LAYER = "conserved"


@dataclass(frozen=True, slots=True)
class Conserved:
    """Counts to write beside the prediction; see :func:`histosge.conserve`.

    Parameters
    ----------
    kind
        real, rounded or drawn.
    seed
        Of the draw.
    """

    kind: str
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(conservation.Kind):
            raise UsageError(f"Expected counts real, rounded or drawn, got '{self.kind}'.")


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """What is written: chosen genes of a prediction, and the section it came from."""

    section: Section
    chosen: FactoredPrediction
    conserved: Conserved | None
    out: Path

    @property
    def genes(self) -> list[str]:
        return [str(name) for name in self.chosen.genes]


def export(
    source: Path,
    out: Path,
    *,
    genes: Genes = "all",
    to: str = "h5ad",
    conserved: Conserved | None = None,
) -> dict[str, Any]:
    """Write genes of a run in a format of other tools, and return what was written.

    Parameters
    ----------
    source
        Folder of a run, or its ``factors.h5ad``. Nothing else is needed: the file holds what was measured.
    out
        File or folder to write; it appears whole or not at all.
    genes
        ``all``, a file with one name or id a line, or names separated by commas.
    to
        One of :data:`FORMATS`.
    conserved
        Counts that add up to those measured, in ``layers["conserved"]``: for h5ad.

    Raises
    ------
    UsageError
        For files that do not exist, genes that were not predicted, unknown formats, and more than fits a format.
    DataError
        For a damaged file, a full disk.
    """
    write = _WRITERS.get(to)
    if write is None:
        raise UsageError(f"Expected a format among {', '.join(FORMATS)}, got '{to}'.")
    if conserved is not None and to != "h5ad":
        raise UsageError(f"Counts that add up are written to h5ad, not to {to}. Use --to h5ad.")
    path = _found(source)
    section, whole = factors.section(path), factors.read(path)
    if conserved is not None and not section.measured:
        raise UsageError(f"Nothing was measured in '{section.name}': there are no counts to share out.")
    names, absent = _chosen(section, whole, genes)
    chosen = whole.only(names)
    job = _Job(section, chosen, conserved, out)
    write(job)
    record = {"file": str(out), "format": to, "places": len(chosen), "genes": job.genes, "absent": absent}
    return record | ({} if conserved is None else _account(job, conserved))


def _found(source: Path) -> Path:
    if not source.exists():
        raise UsageError(f"There is nothing at '{source}'. Give the folder of a run, or its {factors.NAME}.")
    path = source / factors.NAME if source.is_dir() else source
    if not path.is_file():
        raise UsageError(
            f"'{source}' holds no {factors.NAME}. Models that predict by factors leave one; the prediction.h5ad of others "
            "opens in other tools as it is."
        )
    return path


def _chosen(section: Section, whole: FactoredPrediction, genes: Genes) -> tuple[tuple[str, ...], list[str]]:
    """Return the genes meant, and the names in a file that are none of those predicted."""
    choice = GeneChoice.parse(genes)
    if choice.file is not None:
        panel = select(section, choice)
        return tuple(str(name) for name in panel.names if name != OTHERS), list(panel.missing)
    return choice.among(whole.genes, "the run"), []


def _write_h5ad(job: _Job) -> None:
    """Write the matrix block by block, then the counts gene by gene."""
    import h5py

    chosen = job.chosen
    with atomic_path(job.out) as draft:
        has_sd = chosen.score_sd is not None
        h5ad.stream(
            draft,
            job.section,
            chosen.locations,
            chosen.genes,
            chosen.blocks(observation=True),
            provenance=chosen.provenance,
            has_sd=has_sd,
        )
        if job.conserved is None:
            return
        kind, seed = job.conserved.kind, job.conserved.seed
        blocks = conservation.blocks(chosen, job.section, kind=kind, seed=seed, partial=True)
        shape = (len(chosen), len(chosen.genes))
        with h5py.File(draft, "r+") as file:
            columns.put(file["layers"], _LAYER, shape, blocks, "f8" if kind == "real" else "i4")


def _write_spatialdata(job: _Job) -> None:
    spatialdata.write(job.out, job.section, job.chosen)


def _write_omezarr(job: _Job) -> None:
    omezarr.write(job.out, job.section, job.chosen, genes=job.genes)


def _write_geojson(job: _Job) -> None:
    size = 4 * len(job.chosen) * len(job.genes)
    if size > _MOST_BYTES:
        raise UsageError(
            f"{len(job.genes)} genes at {len(job.chosen)} places are too much for GeoJSON, which is text. Choose some "
            "with --genes, or use --to h5ad."
        )
    geojson.write(job.out, job.section, job.chosen.whole(), genes=job.genes)


def _account(job: _Job, conserved: Conserved) -> dict[str, Any]:
    """Return how many counts were shared out, and how many lie at spots that no place belongs to."""
    counts = job.section.counts[:, job.section.columns(job.genes)]
    covered = np.isin(np.arange(len(job.section)), job.chosen.locations.parent)
    sums = np.asarray(counts.sum(axis=1)).ravel()
    return {
        "conserved": {
            "kind": conserved.kind,
            "seed": conserved.seed,
            "counts": int(sums[covered].sum()),
            "counts_without_place": int(sums[~covered].sum()),
            "spots_without_place": int((~covered).sum()),
        }
    }


_WRITERS: dict[str, Callable[[_Job], None]] = {
    "h5ad": _write_h5ad,
    "spatialdata": _write_spatialdata,
    "omezarr": _write_omezarr,
    "geojson": _write_geojson,
}
#: what ``--to`` takes
FORMATS = tuple(_WRITERS)
