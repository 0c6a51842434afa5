"""The parts that folders of Visium and Visium HD have in common: matrix, positions, scale factors and images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.geometry.platforms import Platform
from histosge.images.backends.array import ArrayBackend, as_rgb

from .anndata_positions import number_of
from .assemble import SectionParts
from .barcodes import match_barcodes, refuse_aggregated, refuse_other_section
from .file_names import find, matches, opened, prefix_of
from .image_choice import ImageCandidate
from .tenx_matrix import Matrix, read_barcodes, read_matrix
from .tissue_positions import NAMES, Positions, read_positions

__all__ = ["has_positions", "images_of", "read_parts", "read_scalefactors", "spatial_of"]

_MATRICES = ("filtered_feature_bc_matrix.h5", "filtered_feature_bc_matrix")
_RAW_MATRICES = ("raw_feature_bc_matrix.h5", "raw_feature_bc_matrix")
_IMAGES = (("hires", "tissue_hires_image"), ("lowres", "tissue_lowres_image"))
_SCALES = ("tissue_hires_scalef", "tissue_lowres_scalef", "spot_diameter_fullres", "microns_per_pixel")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


def has_positions(folder: Path) -> bool:
    """Return whether a folder has a ``spatial`` folder with a positions file, or one beside a matrix.

    A missing positions file is accepted here, so that the error for a damaged section names it.
    """
    spatial = spatial_of(folder)
    beside = any((folder / name).exists() for name in (*_MATRICES, *_RAW_MATRICES))
    if spatial == folder:
        # a folder of an archive, with all files of a sample in it
        return bool(matches(folder, *NAMES)) and bool(
            matches(folder, *_MATRICES, *_RAW_MATRICES, "matrix.mtx")
        )
    return bool(matches(spatial, *NAMES)) or (beside and spatial.is_dir())


def spatial_of(folder: Path) -> Path:
    """Return the folder ``spatial``, or the folder itself where an archive has put all files into one."""
    return folder / "spatial" if (folder / "spatial").is_dir() else folder


def read_parts(folder: Path, platform: Platform, name: str) -> SectionParts:
    """Read a folder with a matrix and ``spatial/``; spots off tissue and unmatched barcodes are left out.

    Raises
    ------
    UsageError, DataError
        When parts are missing, damaged, or belong to different sections.
    """
    matrix, messages, filtered = _matrix(folder)
    spatial = spatial_of(folder)
    _refuse_several_samples(folder, spatial)
    positions = read_positions(spatial)
    factors = read_scalefactors(spatial)
    refuse_aggregated(matrix.barcodes, positions.barcodes)
    rows, spot_rows, matching = match_barcodes(
        _suffixed(matrix, positions.barcodes).barcodes, positions.barcodes, f"'{name}'"
    )
    on_tissue = positions.in_tissue[spot_rows]
    lost = len(matrix.barcodes) - len(rows)
    matching += _same_section(positions, spot_rows, lost, name, filtered=filtered)
    parts = SectionParts(
        name=name,
        platform=platform,
        counts=matrix.counts[rows],
        barcodes=positions.barcodes[spot_rows],
        genes=matrix.genes,
        gene_ids=matrix.gene_ids,
        xy_px=positions.xy_px[spot_rows],
        lattice_xy=positions.lattice_xy[spot_rows],
        images=images_of(spatial, factors),
        spot_px=factors.get("spot_diameter_fullres"),
        file_mpp=factors.get("microns_per_pixel"),
        messages=(*matrix.messages, *messages, *matching, *_without_scale(spatial, factors)),
    )
    # the raw matrix and some positions files also have spots off tissue
    if on_tissue.all():
        return parts
    return parts.take(
        on_tissue, Message("info", f"{int((~on_tissue).sum())} spots off tissue were left out.")
    )


def _same_section(
    positions: Positions, spot_rows: Array, lost: int, name: str, *, filtered: bool
) -> tuple[Message, ...]:
    """Refuse positions without tissue and those of another section than the matrix."""
    if not positions.in_tissue[spot_rows].any():
        raise DataError(
            f"All {len(spot_rows)} spots of '{name}' are marked as off tissue. Check the positions file."
        )
    has_counts = np.isin(np.arange(len(positions.barcodes)), spot_rows)
    return refuse_other_section(has_counts, positions.in_tissue, lost, filtered=filtered)


def read_scalefactors(folder: Path) -> dict[str, Any]:
    """Return the numbers of ``scalefactors_json.json``; empty where there is no such file.

    Raises
    ------
    DataError
        When it is damaged, or a scale is not positive.
    """
    path = find(folder, "scalefactors_json.json")
    if path is None:
        return {}
    try:
        with opened(path) as stream:
            content = json.loads(stream.read().decode("utf-8-sig"))
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
            size: Literal["hires", "lowres"] = "hires" if kind == "hires" else "lowres"
            packed = path.suffix == ".gz"
            images.append(ImageCandidate(size, scale, path, source=_decompressed(path) if packed else None))
    return tuple(images)


def _image(folder: Path, stem: str) -> Path | None:
    names = [f"{stem}{suffix}" for suffix in _SUFFIXES]
    paths = matches(folder, *names)
    if len(paths) > 1:
        listed = ", ".join(path.name for path in paths)
        raise UsageError(f"'{folder}' has several images for {stem}: {listed}. Keep that of this section.")
    return find(folder, *names)


def _decompressed(path: Path) -> ArrayBackend:
    from PIL import Image

    try:
        with opened(path) as stream, Image.open(stream) as picture:
            pixels = np.asarray(picture)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"'{path}' is damaged or no image ({error}). Copy it again.") from error
    return ArrayBackend(as_rgb(pixels, f"'{path.name}'"))


def _refuse_several_samples(folder: Path, spatial: Path) -> None:
    """Refuse a matrix and positions whose names begin with different samples.

    Raises
    ------
    UsageError
        When they do, or there are several candidates for one of them.
    """
    matrix, positions = find(folder, *_MATRICES), find(spatial, *NAMES)
    if matrix is None or positions is None:
        return
    prefixes = prefix_of(matrix, *_MATRICES), prefix_of(positions, *NAMES)
    if all(prefixes) and prefixes[0] != prefixes[1]:
        raise UsageError(
            f"'{matrix.name}' and '{positions.name}' are of different samples by their names. Put the files of each "
            "section into a folder of their own."
        )


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
                _refuse_other_matrix(path, folder / names[1])
                message = Message("info", f"No filtered matrix in '{folder.name}'; the raw one is used.")
                return read_matrix(path), () if filtered else (message,), filtered
    for names, filtered in ((_MATRICES, True), (_RAW_MATRICES, False)):
        prefixed = find(folder, *names)
        if prefixed is not None:
            return read_matrix(prefixed), (), filtered
    if find(folder, "matrix.mtx") is not None:
        # nothing says whether such a matrix is filtered
        return read_matrix(folder), (), False
    raise UsageError(f"Expected {' or '.join(_MATRICES)} in '{folder}', found none.")


def _refuse_other_matrix(path: Path, other: Path) -> None:
    """Refuse an HDF5 file and a folder of the same name that hold different barcodes."""
    if path == other or not matches(other, "barcodes.tsv"):
        return
    if set(read_barcodes(path)) != set(read_barcodes(other)):
        raise UsageError(
            f"'{path.name}' and the folder '{other.name}' beside it hold different barcodes. Keep the matrix of this "
            "section."
        )


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
