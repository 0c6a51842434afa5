"""The files of a run, read for its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.geometry.points import Points
from histosge.images.slide import SlideImage
from histosge.io.hdf5.stored_matrix import checked
from histosge.io.layout import prediction_table as layout
from histosge.io.own_files import refuse_mixture
from histosge.io.run_record import read_run
from histosge.io.score_record import SCORES, read_scores
from histosge.io.writers import factors
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.prediction import Prediction
from histosge.section.locations import Locations
from histosge.section.section import Section

from .measured import Measured

__all__ = ["RunFiles", "read_files", "record", "scores"]

# most values (locations × genes) in a page of a prediction without factors
_MAX_VALUES = 24_000_000
_BLOCK_VALUES = 4_000_000
_SAMPLE = 2000
# errors that h5py and anndata raise for files that were cut off or changed
_DAMAGE = (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True, eq=False)
class RunFiles:
    """The prediction, measurements and image in the folder of a run.

    Parameters
    ----------
    prediction
        Factors of all genes, or a matrix of those that a page has room for.
    predicted
        Number of genes in the file.
    measured
        Measured values at those locations that are spots, or at all spots; ``None`` where the folder has none.
    slide
        A copy of the image with at most 2000 pixels a side, or ``None``.
    mpp
        µm per pixel of the full-resolution image.
    section
        The section as far as the folder holds it, or ``None``.
    """

    prediction: FactoredPrediction | Prediction
    predicted: int
    measured: Measured | None
    slide: SlideImage | None
    mpp: float
    section: Section | None = None


def record(folder: Path) -> dict[str, Any]:
    """Return ``run.json``.

    Raises
    ------
    UsageError
        When the folder has no run.
    DataError
        When the record is damaged.
    """
    return read_run(folder)


def scores(folder: Path) -> dict[str, Any] | None:
    """Return the scores of an evaluation that was written into the folder, or ``None``.

    Raises
    ------
    DataError
        When they are damaged, or of another evaluation than the tables beside them.
    """
    return read_scores(folder) if (folder / SCORES).is_file() else None


def read_files(folder: Path, record: Mapping[str, Any]) -> RunFiles:
    """Return the files of a run: ``factors.h5ad``, which has all genes, or else ``prediction.h5ad``.

    Raises
    ------
    UsageError
        When there is no prediction.
    DataError
        When it is damaged, or was not written by this version.
    """
    # one of another run is none of this run's
    path = folder / factors.NAME
    if path.is_file() and factors.NAME in record.get("files", {factors.NAME: ""}):
        refuse_mixture(folder, record, path.name)
        prediction, section = factors.read(path), factors.section(path)
        measured = Measured.of(section, prediction.genes) if section.has_counts else None
        return RunFiles(
            prediction,
            len(prediction.genes),
            measured=measured,
            slide=section.slide,
            mpp=section.mpp,
            section=section,
        )
    path = folder / "prediction.h5ad"
    if path.is_file():
        refuse_mixture(folder, record, path.name)
        return _matrix(path, record)
    raise UsageError(f"There is no prediction in '{folder}'. Give the folder of a run.")


def _matrix(path: Path, record: Mapping[str, Any]) -> RunFiles:
    """Read ``prediction.h5ad``, but only the columns that a page has room for."""
    from anndata.io import read_elem

    with _opened(path) as file:
        obs, obsm, uns = (read_elem(file[name]) for name in ("obs", "obsm", "uns"))
        genes = read_elem(file["var"]).index.to_numpy(dtype=str)
        metadata = uns["histosge"]["layout"]
        locations = layout.locations(obs, obsm["spatial_um"], metadata)
        sd = file.get("layers/sd")
        columns = _columns_with_room(
            file["X"], genes, tuple(record.get("genes_shown", ())), 1 if sd is None else 2
        )
        parts = [_columns(matrix, columns) for matrix in (file["X"], sd) if matrix is not None]
        prediction = Prediction(locations, genes[columns], parts[0], parts[1] if len(parts) > 1 else None)
        stored = file.get("layers/measured")
        values = None if stored is None else checked(read_elem(stored), f"in '{path}'")[:, columns]
        mpp = float(metadata["mpp"])
        slide = _slide(uns.get("spatial", {}), mpp)
    measured = _measured(locations, genes[columns], values, _diameter(record["section"]))
    return RunFiles(prediction, len(genes), measured=measured, slide=slide, mpp=mpp)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file; errors of h5py and anndata about a damaged one become a sentence."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except PermissionError as error:
        raise UsageError(f"No permission to read '{path}'.") from error
    except _DAMAGE as error:
        raise DataError(
            f"'{path}' is truncated, or has no prediction in the layout of this version. Run `histosge run` again."
        ) from error


def _columns_with_room(matrix: Any, genes: Array, shown: tuple[str, ...], copies: int) -> Array:
    """Return the columns that a page has room for: those of the figures, then those that vary most."""
    n, g = matrix.shape
    room = max(1, _MAX_VALUES // (max(n, 1) * copies))
    if g <= room:
        return np.arange(g)
    # variance over a sample of the rows is enough to rank genes
    score = np.asarray(matrix[:: max(1, n // _SAMPLE)].var(axis=0), dtype=np.float64)
    score[np.isin(genes, shown)] = np.inf
    return np.sort(np.argsort(-score, kind="stable")[:room])


def _columns(matrix: Any, columns: Array) -> Array:
    """Return columns of a matrix on disk, read in blocks of rows."""
    n, g = matrix.shape
    out = np.empty((n, len(columns)), dtype=np.float32)
    step = max(1, _BLOCK_VALUES // max(g, 1))
    for start in range(0, n, step):
        out[start : start + step] = matrix[start : start + step][:, columns]
    return out


def _measured(locations: Locations, genes: Array, values: Any, diameter_um: float) -> Measured | None:
    """Return the measured values at those locations that are spots; ``None`` where none is."""
    rows = np.flatnonzero(locations.observed)
    if values is None or not len(rows):
        return None
    spots = Points(locations.xy[rows], locations.points.ids[rows], diameter_um)
    return Measured(spots, genes, sparse.csc_matrix(sparse.csr_matrix(values)[rows]), None)


def _diameter(section: Mapping[str, Any]) -> float:
    """Return a spot's diameter: 55 of 100 µm on Visium, half of the pitch for other platforms."""
    pitch_um = float(section.get("pitch_um") or 100.0)
    return (0.55 if section.get("platform") == "visium" else 0.5) * pitch_um


def _slide(spatial: Mapping[str, Any], mpp: float) -> SlideImage | None:
    """Return the copy of the image inside the file."""
    for library in spatial.values():
        if "hires" in library.get("images", {}):
            scale = float(library["scalefactors"]["tissue_hires_scalef"])
            return SlideImage.from_array(np.asarray(library["images"]["hires"]), mpp / scale)
    return None
