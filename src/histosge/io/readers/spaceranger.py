"""The parts that folders of Visium and Visium HD have in common: matrix, positions, scale factors and images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.geometry.platforms import Platform
from histosge.images.backends.array import ArrayBackend, as_rgb
from histosge.section.expression import depth as molecules

from .anndata_positions import number_of
from .assemble import SectionParts
from .barcodes import (
    match_barcodes,
    raw_messages,
    refuse_aggregated,
    refuse_other_section,
    seems_raw,
)
from .file_names import find, matches, opened, prefix_of
from .image_choice import ImageCandidate
from .matrix_choice import MATRICES, RAW_MATRICES, chosen_matrix, suffixed
from .tissue_positions import NAMES, Positions, read_positions

__all__ = ["has_positions", "images_of", "read_parts", "read_scalefactors", "spatial_of"]

_IMAGES = (("hires", "tissue_hires_image"), ("lowres", "tissue_lowres_image"))
_SCALES = ("tissue_hires_scalef", "tissue_lowres_scalef", "spot_diameter_fullres", "microns_per_pixel")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


def has_positions(folder: Path) -> bool:
    """Return whether a folder has a ``spatial`` folder with a positions file, or one beside a matrix.

    A missing positions file is accepted here, so that the error for a damaged section names it.
    """
    spatial = spatial_of(folder)
    beside = any((folder / name).exists() for name in (*MATRICES, *RAW_MATRICES))
    if spatial == folder:
        # a folder of an archive, with all files of a sample in it
        return bool(matches(folder, *NAMES)) and bool(matches(folder, *MATRICES, *RAW_MATRICES, "matrix.mtx"))
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
    matrix, messages, filtered = chosen_matrix(folder)
    spatial = spatial_of(folder)
    _refuse_several_samples(folder, spatial)
    positions = read_positions(spatial)
    factors = read_scalefactors(spatial)
    refuse_aggregated(matrix.barcodes, positions.barcodes)
    rows, spot_rows, matching = match_barcodes(
        suffixed(matrix, positions.barcodes).barcodes, positions.barcodes, f"'{name}'"
    )
    depth = molecules(matrix.counts)
    matching += _same_section(positions, spot_rows, depth, rows, name, filtered=filtered)
    on_tissue = positions.in_tissue[spot_rows]
    parts = SectionParts(
        name=name,
        platform=platform,
        # all rows in their order: a copy of a whole capture area is large
        counts=matrix.counts if len(rows) == matrix.counts.shape[0] else matrix.counts[rows],
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
    positions: Positions, spot_rows: Array, depth: Array, rows: Array, name: str, *, filtered: bool | None
) -> tuple[Message, ...]:
    """Refuse positions without tissue and those of another section than the matrix.

    ``depth`` has the counts of every row of the matrix; ``rows`` of it are those of ``spot_rows`` of the positions.
    """
    if not positions.in_tissue[spot_rows].any():
        raise DataError(
            f"All {len(spot_rows)} spots of '{name}' are marked as off tissue. Check the positions file."
        )
    has_counts = np.isin(np.arange(len(positions.barcodes)), spot_rows)
    lost = len(depth) - len(rows)
    if filtered is None:
        filtered = not seems_raw(spot_rows, positions.in_tissue)
    messages = refuse_other_section(has_counts, positions.in_tissue, lost, filtered=filtered)
    return messages if filtered else (*messages, *raw_messages(depth[rows], positions.in_tissue[spot_rows]))


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
    matrix, positions = find(folder, *MATRICES), find(spatial, *NAMES)
    if matrix is None or positions is None:
        return
    prefixes = prefix_of(matrix, *MATRICES), prefix_of(positions, *NAMES)
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
