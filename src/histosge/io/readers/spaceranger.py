"""The parts that folders of Visium and Visium HD have in common: matrix, positions, scale factors and images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.messages import Message
from histosge.errors import DataError, UsageError
from histosge.geometry.platforms import Platform

from .anndata_positions import number_of
from .assemble import SectionParts
from .barcodes import match_barcodes, refuse_aggregated, refuse_other_section
from .image_choice import ImageCandidate
from .tenx_matrix import Matrix, read_matrix
from .tissue_positions import NAMES, read_positions

__all__ = ["has_positions", "images_of", "read_parts", "read_scalefactors"]

_MATRICES = ("filtered_feature_bc_matrix.h5", "filtered_feature_bc_matrix")
_RAW_MATRICES = ("raw_feature_bc_matrix.h5", "raw_feature_bc_matrix")
_IMAGES = (("hires", "tissue_hires_image"), ("lowres", "tissue_lowres_image"))
_SCALES = ("tissue_hires_scalef", "tissue_lowres_scalef", "spot_diameter_fullres", "microns_per_pixel")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


def has_positions(folder: Path) -> bool:
    """Return whether a folder has a ``spatial`` folder with a positions file, or one beside a matrix.

    A missing positions file is accepted here, so that the error for a damaged section names it.
    """
    beside = any((folder / name).exists() for name in (*_MATRICES, *_RAW_MATRICES))
    named = any((folder / "spatial" / name).exists() for name in NAMES)
    return named or (beside and (folder / "spatial").is_dir())


def read_parts(folder: Path, platform: Platform, name: str) -> SectionParts:
    """Read a folder with a matrix and ``spatial/``; spots off tissue and unmatched barcodes are left out.

    Raises
    ------
    UsageError, DataError
        When parts are missing, damaged, or belong to different sections.
    """
    matrix, messages, filtered = _matrix(folder)
    positions = read_positions(folder / "spatial")
    factors = read_scalefactors(folder / "spatial")
    refuse_aggregated(matrix.barcodes, positions.barcodes)
    rows, spot_rows, matching = match_barcodes(
        _suffixed(matrix, positions.barcodes).barcodes, positions.barcodes, f"'{name}'"
    )
    on_tissue = positions.in_tissue[spot_rows]
    if not on_tissue.any():
        raise DataError(
            f"All {len(on_tissue)} spots of '{name}' are marked as off tissue. Check the positions file."
        )
    has_counts = np.isin(np.arange(len(positions.barcodes)), spot_rows)
    lost = len(matrix.barcodes) - len(rows)
    matching += refuse_other_section(has_counts, positions.in_tissue, lost, filtered=filtered)
    parts = SectionParts(
        name=name,
        platform=platform,
        counts=matrix.counts[rows],
        barcodes=positions.barcodes[spot_rows],
        genes=matrix.genes,
        gene_ids=matrix.gene_ids,
        xy_px=positions.xy_px[spot_rows],
        lattice_xy=positions.lattice_xy[spot_rows],
        images=images_of(folder / "spatial", factors),
        spot_px=factors.get("spot_diameter_fullres"),
        file_mpp=factors.get("microns_per_pixel"),
        messages=(*matrix.messages, *messages, *matching, *_without_scale(folder / "spatial", factors)),
    )
    # the raw matrix and some positions files also have spots off tissue
    if on_tissue.all():
        return parts
    return parts.take(
        on_tissue, Message("info", f"{int((~on_tissue).sum())} spots off tissue were left out.")
    )


def read_scalefactors(folder: Path) -> dict[str, Any]:
    """Return the numbers of ``scalefactors_json.json``; empty where there is no such file.

    Raises
    ------
    DataError
        When it is damaged, or a scale is not positive.
    """
    path = folder / "scalefactors_json.json"
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        factors = {
            key: number_of(value, key, f"'{path}'")
            for key, value in content.items()
            if key in _SCALES or isinstance(value, (int, float))
        }
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"'{path}' is damaged ({error}). Copy it again.") from error
    for key in (key for key in _SCALES if not 0 < factors.get(key, 1.0) < np.inf):
        raise DataError(f"Expected a positive {key} in '{path}', got {factors[key]:g}. Copy the file again.")
    return factors


def images_of(folder: Path, factors: dict[str, Any]) -> tuple[ImageCandidate, ...]:
    """Return the hires and lowres images whose scale is known."""
    images = []
    for kind, stem in _IMAGES:
        scale, path = factors.get(f"tissue_{kind}_scalef"), _image(folder, stem)
        if scale and path is not None:
            images.append(ImageCandidate("hires" if kind == "hires" else "lowres", scale, path))
    return tuple(images)


def _image(folder: Path, stem: str) -> Path | None:
    paths = [folder / f"{stem}{suffix}" for suffix in _SUFFIXES]
    return next((path for path in paths if path.exists()), None)


def _without_scale(folder: Path, factors: dict[str, Any]) -> tuple[Message, ...]:
    """Return a warning for images without a scale factor, which cannot be used."""
    left = [
        path.name
        for kind, stem in _IMAGES
        if (path := _image(folder, stem)) is not None and f"tissue_{kind}_scalef" not in factors
    ]
    if not left:
        return ()
    text = (
        f"{' and '.join(left)} cannot be used: scalefactors_json.json, which has their scale factors, is missing "
        "or incomplete. Copy that file again, or give the full-resolution image as `image`."
    )
    return (Message("warning", text),)


def _matrix(folder: Path) -> tuple[Matrix, tuple[Message, ...], bool]:
    """Read the filtered matrix, or the raw one where there is none; return also whether it is filtered."""
    for names, filtered in ((_MATRICES, True), (_RAW_MATRICES, False)):
        for path in (folder / name for name in names):
            if path.exists():
                message = Message("info", f"No filtered matrix in '{folder.name}'; the raw one is used.")
                return read_matrix(path), () if filtered else (message,), filtered
    prefixed = sorted(folder.glob("*filtered_feature_bc_matrix*.h5"))
    if len(prefixed) == 1:
        return read_matrix(prefixed[0]), (), True
    raise UsageError(f"Expected {' or '.join(_MATRICES)} in '{folder}', found none.")


def _suffixed(matrix: Matrix, positions: Any) -> Matrix:
    """Return the matrix with or without the barcode suffix ``-1``, as the positions have it; some tools remove it."""
    if not len(matrix.barcodes) or not len(positions):
        return matrix
    in_matrix, in_positions = matrix.barcodes[0].endswith("-1"), str(positions[0]).endswith("-1")
    if in_positions and not in_matrix:
        return replace(matrix, barcodes=np.char.add(matrix.barcodes, "-1"))
    if in_matrix and not in_positions:
        return replace(matrix, barcodes=np.array([name.removesuffix("-1") for name in matrix.barcodes]))
    return matrix
