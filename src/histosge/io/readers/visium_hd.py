"""Visium HD: square bins of Space Ranger's ``binned_outputs``."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from histosge._runtime.messages import Message
from histosge.errors import UsageError
from histosge.geometry.platforms import visium_hd
from histosge.section.section import Section

from .assemble import assemble
from .base import Reader, ReadOptions
from .hd_size import LEAST_MOLECULES, few_molecules, refuse_too_many
from .hd_sums import StoredBins, read_sums
from .spaceranger import has_positions, read_parts

__all__ = ["ENTRIES"]

_BIN = re.compile(r"square_(\d+)um$")
# 2 µm bins hold few counts each, and there are millions; 16 µm is about the size of a cell
_DEFAULT_UM = 16.0
# narrower bins are summed where no width is asked for
_LEAST_UM = 8.0
# widths that they are summed to, in their own
_FACTORS = (1, 2, 4, 8, 16)


def detect(path: Path) -> bool:
    """Return whether the path is a ``square_*um`` folder, or contains some."""
    return path.is_dir() and bool(_bins(path))


def read(path: Path, options: ReadOptions) -> Section:
    """Read the bins of one size, or sum narrower ones to it.

    Raises
    ------
    UsageError
        When there are no bins, none of the size ``bin_um`` nor of a part of it, or they do not fit into memory.
    """
    bins = _bins(path)
    if not bins:
        raise UsageError(
            f"Expected folders square_*um with bins in '{path}', found none. Give the folder binned_outputs of Space "
            "Ranger, or leave the format to be detected."
        )
    size = options.bin_um or (_DEFAULT_UM if _DEFAULT_UM in bins else max(bins))
    if options.bin_um is None and size < _LEAST_UM and not _BIN.search(path.name):
        return _known_width(bins[size], size, options)
    if size in bins:
        refuse_too_many(bins[size], size)
        section = assemble(read_parts(bins[size], visium_hd(size), _name(bins[size], size)), options)
        return section.with_messages(*few_molecules(section, size))
    parts = [narrow for narrow in bins if size > narrow and (size / narrow).is_integer()]
    if not parts:
        sizes = ", ".join(f"{size_um:g}" for size_um in sorted(bins))
        raise UsageError(
            f"Expected bins of {size:g} µm in '{path}', found {sizes}. Choose one with `bin_um`."
        )
    text = f"Bins of {size:g} µm are sums of the counts of those of {max(parts):g} µm."
    return _summed(bins[max(parts)], max(parts), size, options, Message("info", text))


def _known_width(folder: Path, narrow: float, options: ReadOptions) -> Section:
    """Sum narrow bins to the width at which they hold enough molecules to tell anything of a gene."""
    stored = StoredBins.of(folder)
    medians = stored.medians(_FACTORS)
    enough = [factor for factor in _FACTORS if medians[factor] >= LEAST_MOLECULES]
    factor = enough[0] if enough else _FACTORS[-1]
    text = (
        f"Bins of {narrow:g} µm hold {medians[1]:.0f} molecules (median); they were summed to bins of "
        f"{factor * narrow:g} µm, which hold {medians[factor]:.0f}. With fewer than {LEAST_MOLECULES} hardly any gene "
        "is counted in a bin. `bin_um` chooses another width."
    )
    return _summed(folder, narrow, factor * narrow, options, Message("info", text), stored)


def _summed(
    folder: Path,
    narrow: float,
    size: float,
    options: ReadOptions,
    message: Message,
    stored: StoredBins | None = None,
) -> Section:
    refuse_too_many(folder, narrow, wide=size)
    parts = read_sums(
        folder,
        stored or StoredBins.of(folder),
        bin_um=size,
        factor=round(size / narrow),
        name=_name(folder, size),
    )
    section = assemble(replace(parts, messages=(message, *parts.messages)), options)
    return section.with_messages(*few_molecules(section, size))


def _name(folder: Path, size: float) -> str:
    parent = folder.parent.parent if folder.parent.name == "binned_outputs" else folder.parent
    return f"{parent.name}_{size:g}um"


def _bins(path: Path) -> dict[float, Path]:
    """Return the folders of bins by their size in µm."""
    parents = (
        [path.parent]
        if _BIN.search(path.name)
        else [path, path / "binned_outputs", path / "outs/binned_outputs"]
    )
    only = path if _BIN.search(path.name) else None
    folders = {}
    for folder in (
        folder for parent in parents if parent.is_dir() for folder in sorted(parent.glob("square_*um"))
    ):
        size = _BIN.search(folder.name)
        if size and has_positions(folder) and only in (None, folder):
            folders[float(size.group(1))] = folder
    return folders


ENTRIES = (
    Reader(
        "visium_hd",
        "Visium HD: outs, binned_outputs, or one square_*um folder; `bin_um` chooses the bins",
        detect,
        read,
        priority=10,
        choices=("bin_um",),
    ),
)
