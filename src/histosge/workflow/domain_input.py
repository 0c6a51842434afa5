"""What is to be divided into domains: values at places, and the image under them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import DataError, UsageError
from histosge.figures.domains import Backdrop
from histosge.prediction.prediction import Prediction
from histosge.section.expression import log_cp10k
from histosge.section.genes import select
from histosge.section.section import Section

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["Ground", "Subject", "from_adata", "from_prediction", "from_section", "ground", "open_subject"]

_IMAGE_PX = 2000
_PREDICTION = "prediction.h5ad"


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """Expression at places.

    Parameters
    ----------
    name
        For titles.
    ids, xy_um
        Of the places.
    values
        log1p(CP10k).
    backdrop
        The image, where there is one.
    said
        What the values are, in a few words.
    """

    name: str
    ids: Array
    xy_um: Float[np.ndarray, "n 2"]
    values: Float[np.ndarray, "n g"]
    backdrop: Backdrop | None
    said: str


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Places and the image under them, without values."""

    ids: Array
    xy_um: Float[np.ndarray, "n 2"]
    backdrop: Backdrop | None


def ground(data: Section | AnnData) -> Ground:
    """Return the places of a section, of a prediction or of an AnnData with counts."""
    if isinstance(data, Section):
        return Ground(data.spots.ids, data.spots.xy, _backdrop(data))
    if "histosge" in data.uns and "spatial_um" in data.obsm:
        names = data.obs_names.to_numpy(dtype=str)
        return Ground(names, np.asarray(data.obsm["spatial_um"], dtype=np.float64), _held_image(data))
    from histosge.io.readers.anndata import from_anndata

    return ground(from_anndata(data))


def open_subject(path: Path, *, values: str | None, genes: str) -> Subject:
    """Read a section, a ``prediction.h5ad`` or another h5ad.

    Parameters
    ----------
    path
        Folder or file; the folder of a run stands for its ``prediction.h5ad``.
    values
        ``"measured"`` or ``"predicted"``; ``None`` takes predictions where there are any.
    genes
        Of a measured section: ``hvg:N``, ``all`` or a file. A prediction's genes are all taken.

    Raises
    ------
    UsageError
        For a path that is none, or predictions wanted of a section that has none.
    DataError
        For a damaged file, or one that this version did not write.
    """
    if values not in (None, "measured", "predicted"):
        raise UsageError(f"Expected values that are measured or predicted, got '{values}'.")
    if not path.exists():
        raise UsageError(f"Expected a section or a prediction, found nothing at '{path}'. Check the path.")
    if (path / _PREDICTION).is_file():
        path = path / _PREDICTION
    if path.suffix == ".h5ad":
        return from_adata(_read_h5ad(path), path.stem, values=values, genes=genes)
    if values == "predicted":
        raise UsageError(
            f"'{path}' is a section: measured, not predicted. Give the prediction.h5ad of a run."
        )
    from histosge.io.readers import read

    return from_section(read(path), genes=genes)


def from_section(section: Section, *, genes: str) -> Subject:
    """Return what was measured."""
    panel = select(section, genes)
    return Subject(
        section.name,
        section.spots.ids,
        section.spots.xy,
        log_cp10k(section.counts, columns=panel.columns).toarray(),
        _backdrop(section),
        f"measured, {len(panel)} genes",
    )


def from_prediction(section: Section, prediction: Prediction) -> Subject:
    """Return what was predicted for ``section``."""
    points = prediction.locations.points
    said = f"predicted, {len(prediction.genes)} genes"
    mean = np.asarray(prediction.mean, dtype=np.float64)
    return Subject(section.name, points.ids, points.xy, mean, _backdrop(section), said)


def from_adata(adata: AnnData, name: str, *, values: str | None, genes: str) -> Subject:
    """Return what an AnnData holds: a prediction as this package writes it, or raw counts.

    Raises
    ------
    UsageError
        For predictions wanted of an AnnData that holds none.
    DataError
        When there are no positions, or neither predictions nor counts.
    """
    if "histosge" not in adata.uns:
        if values == "predicted":
            raise UsageError(
                "This AnnData holds no predictions of histosge. Give the prediction.h5ad of a run."
            )
        from histosge.io.readers.anndata import from_anndata

        return from_section(from_anndata(adata), genes=genes)
    if adata.X is None:
        raise UsageError(f"'{name}' holds factors in place of genes. Give the {_PREDICTION} of the same run.")
    try:
        xy_um = np.asarray(adata.obsm["spatial_um"], dtype=np.float64)
        observed = adata.obs["observed"].to_numpy(dtype=bool)
        about = json.loads(adata.uns["histosge"]["provenance_json"])
        matrix = adata.layers["measured"] if values == "measured" else adata.X
        rows = observed if values == "measured" else np.ones(len(observed), dtype=bool)
        backdrop = _held_image(adata)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"'{name}' holds no prediction as this version writes it (missing or unlike: {error}). "
            "Predict again with this version."
        ) from error
    matrix = np.asarray(matrix[rows].toarray() if hasattr(matrix, "toarray") else matrix[rows], np.float64)
    title = str(about.get("section", {}).get("name", name))
    said = f"{values or 'predicted'}, {matrix.shape[1]} genes"
    return Subject(title, adata.obs_names.to_numpy(dtype=str)[rows], xy_um[rows], matrix, backdrop, said)


def _read_h5ad(path: Path) -> AnnData:
    from anndata import read_h5ad

    try:
        return read_h5ad(path)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise DataError(f"'{path}' is truncated or no h5ad. Write it again, or copy it again.") from error


def _backdrop(section: Section) -> Backdrop | None:
    if section.slide is None:
        return None
    mpp = max(section.slide.mpp, max(section.slide.size_um) / _IMAGE_PX)
    return Backdrop(section.slide.thumbnail(mpp), mpp)


def _held_image(adata: Any) -> Backdrop | None:
    """Return the image inside a prediction; there is none where the section had none."""
    for library in adata.uns.get("spatial", {}).values():
        image = library.get("images", {}).get("hires")
        if image is not None:
            scale = float(library["scalefactors"]["tissue_hires_scalef"])
            return Backdrop(np.asarray(image), float(adata.uns["histosge"]["layout"]["mpp"]) / scale)
    return None
