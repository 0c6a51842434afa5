"""What Visium and Visium HD outputs share: a matrix, positions, scale factors and images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.messages import Message
from histosge.errors import DataError, UsageError
from histosge.geometry.platforms import Platform

from .draft import Draft, join
from .image_choice import ImageOffer
from .tenx_matrix import Matrix, read_matrix
from .tissue_positions import NAMES, read_positions

__all__ = ["draft_of", "has_positions", "offers_of", "read_scalefactors"]

_MATRICES = ("filtered_feature_bc_matrix.h5", "filtered_feature_bc_matrix")
_RAW_MATRICES = ("raw_feature_bc_matrix.h5", "raw_feature_bc_matrix")
_IMAGES = (("hires", "tissue_hires_image"), ("lowres", "tissue_lowres_image"))
_SCALES = ("tissue_hires_scalef", "tissue_lowres_scalef", "spot_diameter_fullres", "microns_per_pixel")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


def has_positions(folder: Path) -> bool:
    """Tell whether a folder has a ``spatial`` folder with a positions file, or one beside a matrix that misses it.

    Generous, so that the error of a damaged section says what is missing.
    """
    beside = any((folder / name).exists() for name in (*_MATRICES, *_RAW_MATRICES))
    named = any((folder / "spatial" / name).exists() for name in NAMES)
    return named or (beside and (folder / "spatial").is_dir())


def draft_of(folder: Path, platform: Platform, name: str) -> Draft:
    """Read a folder with a matrix and ``spatial/``; spots off tissue and barcodes without partner are left out.

    Raises
    ------
    UsageError, DataError
        When parts are missing, damaged, or belong to different sections.
    """
    matrix, messages = _matrix(folder)
    positions = read_positions(folder / "spatial")
    factors = read_scalefactors(folder / "spatial")
    rows, places, joined = join(
        _suffixed(matrix, positions.barcodes).barcodes, positions.barcodes, f"'{name}'"
    )
    draft = Draft(
        name,
        platform,
        matrix.counts[rows],
        positions.barcodes[places],
        matrix.genes,
        matrix.gene_ids,
        positions.xy_px[places],
        positions.lattice_xy[places],
        offers_of(folder / "spatial", factors),
        factors.get("spot_diameter_fullres"),
        factors.get("microns_per_pixel"),
        (*matrix.messages, *messages, *joined, *_without_scale(folder / "spatial", factors)),
    )
    on_tissue = positions.in_tissue[places]
    if not on_tissue.any():
        raise DataError(
            f"All {len(on_tissue)} spots of '{name}' are marked as off tissue. Check the positions file."
        )
    if on_tissue.all():
        return draft
    return draft.take(
        on_tissue, Message("info", f"{int((~on_tissue).sum())} spots off tissue were left out.")
    )


def read_scalefactors(folder: Path) -> dict[str, Any]:
    """Read ``scalefactors_json.json``; nothing where there is none.

    Raises
    ------
    DataError
        When it is damaged, or holds a scale that none can be.
    """
    path = folder / "scalefactors_json.json"
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        factors = {key: float(value) for key, value in content.items() if isinstance(value, (int, float))}
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"'{path}' is damaged ({error}). Copy it again.") from error
    for key in (key for key in _SCALES if not 0 < factors.get(key, 1.0) < np.inf):
        raise DataError(f"Expected a positive {key} in '{path}', got {factors[key]:g}. Copy the file again.")
    return factors


def offers_of(folder: Path, factors: dict[str, Any]) -> tuple[ImageOffer, ...]:
    """Return the hires and lowres images whose scale is known."""
    offers = []
    for kind, stem in _IMAGES:
        scale, path = factors.get(f"tissue_{kind}_scalef"), _image(folder, stem)
        if scale and path is not None:
            offers.append(ImageOffer("hires" if kind == "hires" else "lowres", scale, path))
    return tuple(offers)


def _image(folder: Path, stem: str) -> Path | None:
    paths = [folder / f"{stem}{suffix}" for suffix in _SUFFIXES]
    return next((path for path in paths if path.exists()), None)


def _without_scale(folder: Path, factors: dict[str, Any]) -> tuple[Message, ...]:
    """Say which images cannot be used because nothing tells how they relate to the coordinates."""
    left = [
        path.name
        for kind, stem in _IMAGES
        if (path := _image(folder, stem)) is not None and f"tissue_{kind}_scalef" not in factors
    ]
    if not left:
        return ()
    text = (
        f"{' and '.join(left)} cannot be used: scalefactors_json.json, which says how large its pixels are, is missing "
        "or does not say it. Copy that file again, or give the full-resolution image with --image."
    )
    return (Message("warning", text),)


def _matrix(folder: Path) -> tuple[Matrix, tuple[Message, ...]]:
    """Read the filtered matrix; the raw one, which also holds spots off tissue, where there is no other."""
    for names, filtered in ((_MATRICES, True), (_RAW_MATRICES, False)):
        for path in (folder / name for name in names):
            if path.exists():
                note = Message("info", f"No filtered matrix in '{folder.name}'; the raw one was taken.")
                return read_matrix(path), () if filtered else (note,)
    found = sorted(path for path in folder.glob("*filtered_feature_bc_matrix*.h5"))
    if len(found) == 1:
        return read_matrix(found[0]), ()
    raise UsageError(f"Expected {' or '.join(_MATRICES)} in '{folder}', found none.")


def _suffixed(matrix: Matrix, positions: Any) -> Matrix:
    """Give both sides the ``-1`` that some tools cut off."""
    if not len(matrix.barcodes) or not len(positions):
        return matrix
    ours, theirs = matrix.barcodes[0].endswith("-1"), str(positions[0]).endswith("-1")
    if theirs and not ours:
        return replace(matrix, barcodes=np.char.add(matrix.barcodes, "-1"))
    if ours and not theirs:
        return replace(matrix, barcodes=np.array([name.removesuffix("-1") for name in matrix.barcodes]))
    return matrix
