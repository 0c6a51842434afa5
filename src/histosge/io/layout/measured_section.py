"""The section of a prediction, in a form small enough for its file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from scipy import sparse

from histosge._runtime.types import Array
from histosge.geometry.lattice import Lattice
from histosge.geometry.platforms import Platform
from histosge.geometry.points import Points
from histosge.images.slide import SlideImage
from histosge.io.hdf5.stored_matrix import checked
from histosge.section.expression import depth
from histosge.section.section import Section

__all__ = ["OTHERS", "packed", "unpacked"]


class _LatticeContent(msgspec.Struct, forbid_unknown_fields=True):
    """Schema of a lattice."""

    kind: Literal["hexagonal", "square", "oblique"]
    origin_um: tuple[float, float]
    step_um: tuple[tuple[float, float], tuple[float, float]]
    basis: tuple[tuple[float, float], tuple[float, float]]
    residual_um: float


class _Summary(msgspec.Struct, forbid_unknown_fields=True):
    """Schema of the plain values of a section."""

    name: str
    mpp: Annotated[float, msgspec.Meta(gt=0)]
    diameter_um: Annotated[float, msgspec.Meta(ge=0)]
    platform: Platform
    lattice: _LatticeContent | None


# one column with the counts of all other genes, so that the sequencing depth of each spot is unchanged
OTHERS = "(other genes)"


def packed(section: Section, genes: Array) -> dict[str, Any]:
    """Return the counts of ``genes`` and the sum over all others, as AnnData can hold them in ``uns``.

    Raises
    ------
    DataError
        For a gene that the section does not have.
    """
    columns = section.columns(genes)
    # all genes in their order: a copy of a whole capture area is large
    is_whole = np.array_equal(columns, np.arange(len(section.genes)))
    counts = section.counts if is_whole else section.counts[:, columns]
    names, gene_ids = section.genes[columns], section.gene_ids[columns]
    others = (depth(section.counts) - depth(counts)).astype(section.counts.dtype)
    if others.any():
        counts = sparse.hstack([counts, sparse.csr_matrix(others[:, None])])
        names, gene_ids = np.append(names, OTHERS), np.append(gene_ids, OTHERS)
    return {
        # by columns: one gene can be read without the others
        "counts": _narrow(sparse.csc_matrix(counts)),
        "genes": names.astype(object),
        "gene_ids": gene_ids.astype(object),
        "spots": section.spots.ids.astype(object),
        "spatial_um": np.array(section.spots.xy),
        "lattice_xy": np.array(section.lattice_xy),
        "summary_json": json.dumps(_summary(section)),
    }


def unpacked(content: Mapping[str, Any], spatial: Mapping[str, Any]) -> Section:
    """Return the section of :func:`packed`; its image is the one in the file, at most 2000 pixels a side.

    Parameters
    ----------
    content
        The value of :func:`packed`.
    spatial
        ``uns["spatial"]`` of the same file, as :func:`histosge.io.layout.prediction_table.spatial` returns it.

    Raises
    ------
    KeyError, TypeError, ValueError
        When parts are missing.
    """
    summary = msgspec.convert(json.loads(content["summary_json"]), _Summary)
    lattice = summary.lattice
    return Section(
        name=summary.name,
        counts=sparse.csr_matrix(checked(content["counts"], "of measured counts"), dtype=np.float64),
        genes=np.asarray(content["genes"], dtype=str),
        gene_ids=np.asarray(content["gene_ids"], dtype=str),
        spots=Points(
            np.asarray(content["spatial_um"]), np.asarray(content["spots"], dtype=str), summary.diameter_um
        ),
        lattice_xy=np.asarray(content["lattice_xy"]),
        lattice=None
        if lattice is None
        else Lattice(**{key: _array(value) for key, value in msgspec.structs.asdict(lattice).items()}),
        platform=summary.platform,
        mpp=summary.mpp,
        slide=_slide(spatial, summary.mpp),
    )


def _summary(section: Section) -> dict[str, Any]:
    lattice = None
    if section.lattice is not None:
        names = ("kind", "origin_um", "step_um", "basis", "residual_um")
        lattice = {name: _plain(getattr(section.lattice, name)) for name in names}
    return {
        "name": section.name,
        "mpp": section.mpp,
        "diameter_um": section.spots.diameter_um,
        "platform": asdict(section.platform),
        "lattice": lattice,
    }


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _array(value: Any) -> Any:
    return np.array(value, dtype=np.float64) if isinstance(value, tuple) else value


def _narrow(counts: sparse.csc_matrix) -> sparse.csc_matrix:
    """Return the counts in the smallest unsigned integer type that holds them."""
    counts.sort_indices()
    counts.eliminate_zeros()
    maximum = counts.data.max() if counts.nnz else 0
    return counts.astype(np.min_scalar_type(int(maximum)))


def _slide(spatial: Mapping[str, Any], mpp: float) -> SlideImage | None:
    """Return the image in the file; its scale factor is its pixels per full-resolution pixel."""
    (library,) = spatial.values()
    image = library.get("images", {}).get("hires")
    if image is None:
        return None
    return SlideImage.from_array(image, mpp / float(library["scalefactors"]["tissue_hires_scalef"]))
