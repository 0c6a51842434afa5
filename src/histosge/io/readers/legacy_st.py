"""Spatial Transcriptomics before Visium: a table of counts, a table of spots, an image."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.geometry.lattice import Lattice
from histosge.geometry.platforms import LEGACY_ST
from histosge.section.section import Section

from .assemble import SectionParts, assemble
from .barcodes import match_barcodes
from .base import Reader, ReadOptions
from .image_choice import ImageCandidate

__all__ = ["ENTRIES"]

_COUNTS = (
    "counts.tsv.gz",
    "counts.tsv",
    "*counts*.tsv.gz",
    "*counts*.tsv",
    "*stdata*.tsv.gz",
    "*stdata*.tsv",
)
_SPOTS = (
    "spots.tsv",
    "*spots*.tsv",
    "spot_data*.tsv",
    "*spot_data*.tsv",
    "*selection*.tsv",
    "*selection*.tsv.gz",
)
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}
_SPOT_NAME = re.compile(r"\d+(\.\d+)?x\d+(\.\d+)?")
_REQUIRED = ("x", "y", "pixel_x", "pixel_y")


def detect(path: Path) -> bool:
    """Return whether the path is a folder with a table of counts and a table of spots."""
    return path.is_dir() and _first_of(path, _COUNTS) is not None and _first_of(path, _SPOTS) is not None


def read(path: Path, options: ReadOptions) -> Section:
    """Read a legacy ST folder; spots not selected and counts without a spot are left out, with messages.

    Raises
    ------
    UsageError, DataError
        When parts are missing, damaged, or belong to different sections.
    """
    counts_path, spots_path = _first_of(path, _COUNTS), _first_of(path, _SPOTS)
    if counts_path is None or spots_path is None:
        raise UsageError(f"Expected counts.tsv[.gz] and spots.tsv in '{path}'.")
    _refuse_several(path, _COUNTS, "tables of counts", "counts.tsv")
    _refuse_several(path, _SPOTS, "tables of spots", "spots.tsv")
    counts, spots = _table_of_counts(counts_path), _table(spots_path)
    missing = [name for name in _REQUIRED if name not in spots.columns]
    if missing:
        raise DataError(
            f"Expected a column {missing[0]} in '{spots_path}', got {', '.join(map(str, spots.columns))}."
        )
    spots_xy = _numbers(spots, spots_path)
    barcodes = np.array([f"{_whole(x)}x{_whole(y)}" for x, y in spots_xy[:, :2]])
    rows, spot_rows, messages = match_barcodes(
        counts.index.astype(str).to_numpy(dtype=str), barcodes, f"'{path.name}'"
    )
    lattice_xy, xy_px = spots_xy[spot_rows, :2], spots_xy[spot_rows, 2:]
    genes = counts.columns.astype(str).to_numpy(dtype=str)
    image = None if options.image is not None else _image(path)
    parts = SectionParts(
        name=path.name,
        platform=LEGACY_ST,
        counts=_matrix(counts, rows, counts_path),
        barcodes=barcodes[spot_rows],
        genes=genes,
        gene_ids=genes,
        xy_px=xy_px,
        lattice_xy=lattice_xy,
        images=(ImageCandidate("full", 1.0, image),) if image is not None else (),
        messages=(*messages, *_without_counts(spots, len(spot_rows))),
    )
    parts = replace(parts, platform=_platform(xy_px, lattice_xy))
    return assemble(_selected(parts, spots.iloc[spot_rows]), options)


def _without_counts(spots: Any, measured: int) -> tuple[Message, ...]:
    """Return a message where the table of spots has more of them than the counts."""
    missing = len(spots) - measured
    if not missing:
        return ()
    return (Message("info", f"{missing} of {len(spots)} spots of the table of spots have no counts."),)


def _table_of_counts(path: Path) -> Any:
    """Return the table of counts; refuse one whose first row, of which the names of genes are read, is a spot."""
    counts = _table(path, index_col=0)
    if _SPOT_NAME.fullmatch(str(counts.index.name)):
        raise DataError(
            f"Expected names of genes in the first row of '{path}', got the counts of spot '{counts.index.name}'. Add "
            "the row with the names."
        )
    return counts


def _platform(xy_px: Array, lattice_xy: Array) -> Any:
    """Return the platform with the pitch of this array.

    200 µm separate spots of one row. On interlaced arrays, where only every second position is printed, the nearest
    neighbours lie diagonally between the rows, 200 / √2 µm away.
    """
    if len(xy_px) < 3:
        return LEGACY_ST
    # area of the unit cell: 1 on a full array, 2 where every second position is printed
    area = abs(np.linalg.det(Lattice.fit(xy_px, lattice_xy).basis))
    return replace(LEGACY_ST, pitch_um=200.0 / 2**0.5) if round(area) == 2 else LEGACY_ST


def _selected(parts: SectionParts, spots: Any) -> SectionParts:
    """Leave out the spots that the table marks as off tissue."""
    if "selected" not in spots.columns:
        return parts
    keep = spots["selected"].to_numpy() != 0
    if not keep.any():
        raise DataError(
            "All spots are marked as not selected, that is, off tissue. Check the table of spots."
        )
    return (
        parts
        if keep.all()
        else parts.take(keep, Message("info", f"{int((~keep).sum())} spots off tissue left out."))
    )


def _numbers(spots: Any, path: Path) -> Array:
    """Return x, y, pixel_x, pixel_y of each spot, or refuse the first row that lacks some."""
    import pandas as pd

    numbers = spots[list(_REQUIRED)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers).all(axis=1))
    if len(bad):
        raise DataError(
            f"Expected numbers for {', '.join(_REQUIRED)} in '{path}', row {bad[0] + 1} lacks some. The table is cut "
            "short or damaged; copy it again."
        )
    return np.asarray(numbers)


def _matrix(counts: Any, rows: Array, path: Path) -> sparse.csr_matrix:
    try:
        return sparse.csr_matrix(counts.iloc[rows].to_numpy(dtype=np.float64))
    except ValueError as error:
        raise DataError(
            f"Expected numbers in '{path}', got something else ({error}). Give the raw counts, one row a spot."
        ) from error


def _table(path: Path, **options: Any) -> Any:
    import zlib

    import pandas as pd

    try:
        return pd.read_csv(path, sep="\t", encoding="utf-8-sig", **options)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"'{path}' is damaged or cut short ({error}). Copy it again.") from error


def _whole(value: float) -> str:
    return f"{value:g}" if float(value) != round(float(value)) else str(round(float(value)))


def _image(folder: Path) -> Path | None:
    """Return the only image of a folder, or that named ``image``.

    Raises
    ------
    UsageError
        When there are several.
    """
    for pattern in ("image.*", "*"):
        paths = [path for path in sorted(folder.glob(pattern)) if path.suffix.lower() in _IMAGE_SUFFIXES]
        if len(paths) > 1:
            listed = ", ".join(path.name for path in paths)
            raise UsageError(f"'{folder}' has several images: {listed}. Choose one with `image`.")
        if paths:
            return paths[0]
    return None


def _refuse_several(folder: Path, patterns: tuple[str, ...], what: str, name: str) -> None:
    """Refuse a folder with several tables of a kind, of which none, or more than one, has the usual name."""
    usual = [path for path in (folder / name, folder / f"{name}.gz") if path.exists()]
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    if len(usual) == 1 or len(paths) < 2:
        return
    listed = ", ".join(path.name for path in usual or paths)
    raise UsageError(
        f"'{folder}' has several {what}: {listed}. Keep that of this section, or name it {name}."
    )


def _first_of(folder: Path, patterns: tuple[str, ...]) -> Path | None:
    """Return the first file of the first pattern that any file matches."""
    for pattern in patterns:
        paths = sorted(folder.glob(pattern))
        if paths:
            return paths[0]
    return None


ENTRIES = (
    Reader(
        "legacy_st",
        "legacy ST: a folder with counts.tsv[.gz], spots.tsv and an image",
        detect,
        read,
        priority=30,
        choices=(),
    ),
)
