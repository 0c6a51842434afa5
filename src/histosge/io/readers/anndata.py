"""AnnData, in a file or in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.errors import DataError
from histosge.geometry.lattice import is_visium
from histosge.geometry.platforms import VISIUM, Platform
from histosge.images.backends.array import ArrayBackend, as_rgb
from histosge.io.hdf5.anndata_file import read_anndata
from histosge.section.section import Section

from .anndata_counts import counts_of, refuse_damaged_matrices, refuse_predictions
from .anndata_positions import lattice_of, number_of, pixels_of
from .assemble import SectionParts, assemble
from .base import Reader, ReadOptions
from .count_values import count_warnings
from .image_choice import ImageCandidate
from .libraries import choose_library

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["ENTRIES", "from_anndata"]


# relative difference of a scale factor from 1 that rounding explains
_FULL_SCALE = 0.01


def detect(path: Path) -> bool:
    """Return whether the path is a file with the suffix ``.h5ad``."""
    return path.is_file() and path.suffix == ".h5ad"


def read(path: Path, options: ReadOptions) -> Section:
    """Read an h5ad.

    Raises
    ------
    UsageError, DataError
        When it must not be read, is damaged, or has no positions or raw counts.
    """
    return _section(read_anndata(path), options, path.stem)


def from_anndata(
    adata: AnnData, *, image: Path | None = None, mpp: float | None = None, library_id: str | None = None
) -> Section:
    """Return an AnnData in memory as a section; it is not changed.

    Parameters
    ----------
    adata
        Raw counts in ``layers["counts"]``, ``raw`` or integer ``X``; ``obsm["spatial"]`` in full-resolution pixels;
        images in ``uns["spatial"]`` as scanpy and squidpy keep them.
    image, mpp, library_id
        As for :func:`histosge.read`.

    Raises
    ------
    UsageError, DataError
        When positions, counts or scale cannot be found.
    """
    options = ReadOptions(image, mpp, name=None, bin_um=None, library_id=library_id)
    section = _section(adata, options, library_id or "section")
    return section.with_messages(*count_warnings(section.counts))


def _section(adata: AnnData, options: ReadOptions, name: str) -> Section:
    refuse_damaged_matrices(adata)
    refuse_predictions(adata)
    adata, library = choose_library(adata, options.library_id)
    _refuse_unusable(adata)
    _, complete = lattice_of(adata)
    without = adata.obs_names[~complete]
    adata = adata if complete.all() else adata[complete]
    parts = _parts(adata, library, name)
    if len(without):
        text = f"{len(without)} spots without array_row or array_col were left out, as '{without[0]}'."
        parts = parts.with_message("warning", text)
    if parts.platform.pitch_um is None and parts.file_mpp is None and options.mpp is None:
        parts = _as_visium_if_hexagonal(parts)
    elif parts.platform.pitch_um is None:
        parts = _with(parts, Platform("unknown", None, None, "square"))
    if "in_tissue" in adata.obs:
        parts = parts.take(_on_tissue(adata))
    return assemble(parts, options)


def _on_tissue(adata: AnnData) -> Array:
    """Return the mask of spots marked as on tissue: 1 or True, also as text."""
    words = adata.obs["in_tissue"].astype(str).str.lower()
    flags = words.map({"true": 1.0, "false": 0.0})
    try:
        flags = flags.where(flags.notna(), words).astype(float).to_numpy()
    except ValueError as error:
        raise DataError(
            f'Expected 0 or 1 in obs["in_tissue"], got something else ({error}). Correct that column or drop it.'
        ) from error
    if np.isnan(flags).any():
        raise DataError(
            'Expected 0 or 1 in obs["in_tissue"], got missing values. Correct that column or drop it.'
        )
    if len(flags) and not flags.any():
        raise DataError(
            'All spots are marked as off tissue in obs["in_tissue"]. Check that column, or drop it.'
        )
    return np.asarray(flags != 0)


def _refuse_unusable(adata: AnnData) -> None:
    """Raise where barcodes are not unique."""
    if adata.obs_names.duplicated().any():
        raise DataError(
            "Barcodes occur more than once in the AnnData. Make them unique, or split it into sections."
        )


def _parts(adata: AnnData, library: Mapping[str, Any], name: str) -> SectionParts:
    """Return the parts of the AnnData, in its own units."""
    xy_px = pixels_of(adata)
    lattice_xy, _ = lattice_of(adata)
    factors = dict(library.get("scalefactors", {}))
    counts = counts_of(adata)
    return SectionParts(
        name=name,
        platform=VISIUM if is_visium(xy_px, lattice_xy) else Platform("unknown", None, None, "irregular"),
        counts=counts.counts,
        barcodes=adata.obs_names.to_numpy(dtype=str),
        genes=counts.genes,
        gene_ids=counts.gene_ids,
        xy_px=xy_px,
        lattice_xy=lattice_xy,
        images=_images(library, factors),
        spot_px=_number(factors, "spot_diameter_fullres"),
        file_mpp=_number(factors, "microns_per_pixel"),
        messages=(*_unscaled(library, factors), *counts.messages),
    )


def _unscaled(library: Mapping[str, Any], factors: Mapping[str, Any]) -> tuple[Message, ...]:
    """Return a warning for images without a scale factor, which cannot be used."""
    left = [kind for kind in dict(library.get("images", {})) if _scale_of(kind, factors) is None]
    if not left:
        return ()
    text = f"The image '{left[0]}' cannot be used: there is no tissue_{left[0]}_scalef in uns[\"spatial\"]."
    return (Message("warning", text),)


def _images(library: Mapping[str, Any], factors: Mapping[str, Any]) -> tuple[ImageCandidate, ...]:
    images = []
    for kind, pixels in dict(library.get("images", {})).items():
        scale = _scale_of(kind, factors)
        if scale is None or not _is_picture(kind, pixels):
            continue
        if not 0 < scale < np.inf:
            raise DataError(
                f'Expected a positive tissue_{kind}_scalef in uns["spatial"], got {scale:g}. Correct it.'
            )
        source = ArrayBackend(as_rgb(_eight_bit(pixels), f"the {kind} image"))
        images.append(ImageCandidate(_size_of(kind, scale), scale, source=source))
    return tuple(images)


def _scale_of(kind: str, factors: Mapping[str, Any]) -> float | None:
    """Return pixels of an image per full-resolution pixel; CELLxGENE keeps the full-resolution image as ``fullres``."""
    scale = _number(factors, f"tissue_{kind}_scalef")
    return 1.0 if scale is None and kind == "fullres" else scale


def _is_picture(kind: str, pixels: Any) -> bool:
    """Return whether an image is a picture in colour; others of a name of their own are masks of labels."""
    return kind in ("hires", "lowres") or (np.ndim(pixels) == 3 and np.shape(pixels)[2] in (3, 4))


def _size_of(kind: str, scale: float) -> Literal["full", "hires", "lowres"]:
    """Return the size that an image of any name has; HEST's ``downscaled_fullres`` is a hires image."""
    if kind == "lowres":
        return "lowres"
    return "full" if kind != "hires" and abs(scale - 1) < _FULL_SCALE else "hires"


def _eight_bit(pixels: Any) -> Array:
    """Return pixels as integers; scanpy keeps floats in [0, 1]."""
    values: Array = np.asarray(pixels)
    if values.dtype.kind != "f":
        return values
    if not np.isfinite(values).all():
        raise DataError('Expected pixels in uns["spatial"], got NaN or infinity. Put the image there again.')
    return np.asarray(np.rint(np.clip(values * (255 if values.max() <= 1 else 1), 0, 255)), dtype=np.uint8)


def _as_visium_if_hexagonal(parts: SectionParts) -> SectionParts:
    """Assume Visium for a hexagonal lattice without scale, with a warning."""
    from histosge.geometry.lattice import Lattice

    try:
        kind = Lattice.fit(parts.xy_px, parts.lattice_xy).kind
    except DataError:
        return parts
    if kind != "hexagonal":
        return parts
    return _with(parts, VISIUM).with_message(
        "warning", "The lattice is hexagonal: Visium with a pitch of 100 µm is assumed."
    )


def _with(parts: SectionParts, platform: Platform) -> SectionParts:
    return replace(parts, platform=platform)


def _number(factors: Mapping[str, Any], key: str) -> float | None:
    return number_of(factors[key], key, 'uns["spatial"]') if key in factors else None


ENTRIES = (
    Reader(
        "h5ad", 'h5ad with raw counts and obsm["spatial"]', detect, read, priority=40, choices=("library_id",)
    ),
)
