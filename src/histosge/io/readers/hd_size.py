"""Whether bins of Visium HD fit into memory, and whether they hold enough molecules."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from histosge._runtime.memory import available_bytes
from histosge._runtime.messages import Message
from histosge.errors import UsageError
from histosge.section.expression import depth
from histosge.section.section import Section

from .file_names import find

__all__ = ["LEAST_MOLECULES", "few_molecules", "reading_bytes", "refuse_too_many"]

#: median of the molecules of a bin below which hardly a gene is counted in it. A gene of one in a hundred molecules, as
#: few genes are, is then counted in less than half of the bins
LEAST_MOLECULES = 50
# bytes of a value while reading, and of a bin with its names, positions and copies of them: measured with benchmarks/
# visium_hd.py on a whole capture area, and rounded up
_OF_VALUE, _OF_BIN = 12, 700
# the same while bins are summed, whose names are not kept
_OF_SUMMED_VALUE, _OF_SUMMED_BIN = 26, 90
_BASE = 300e6
_GIB = 2.0**30


def reading_bytes(bins: int, values: int, *, summed: bool = False) -> float:
    """Return the memory that reading bins needs at its peak, in bytes.

    Parameters
    ----------
    bins, values
        In the matrix.
    summed
        Whether they are summed to wider ones on the way.
    """
    if summed:
        return _BASE + _OF_SUMMED_VALUE * values + _OF_SUMMED_BIN * bins
    return _BASE + _OF_VALUE * values + _OF_BIN * bins


def refuse_too_many(folder: Path, bin_um: float, *, wide: float | None = None) -> None:
    """Refuse bins that do not fit into memory, before any is read.

    Parameters
    ----------
    folder
        With the matrix.
    bin_um
        Their width.
    wide
        The width that they are summed to, if they are.

    Raises
    ------
    UsageError
        With what they need, what there is, and how to go on.
    """
    available, size = available_bytes(), _size(folder)
    if available is None or size is None:
        return
    needed = reading_bytes(*size, summed=wide is not None)
    if needed <= available:
        return
    cure = "wider bins (`bin_um` 8 or 16), or " if bin_um < 8 and wide is None else ""
    raise UsageError(
        f"Reading {size[0]} bins of {bin_um:g} µm needs about {needed / _GIB:.1f} GiB of memory, and "
        f"{available / _GIB:.1f} GiB are free. Read {cure}a part of the section, close other programs, or use a "
        "machine with more memory."
    )


def _size(folder: Path) -> tuple[int, int] | None:
    """Return how many bins and values the matrix has; ``None`` where its file does not say."""
    import h5py

    path = find(folder, "filtered_feature_bc_matrix.h5", "raw_feature_bc_matrix.h5")
    if path is None or path.suffix == ".gz":
        return None
    try:
        with h5py.File(path, "r") as file:
            return len(file["matrix/barcodes"]), len(file["matrix/data"])
    except (OSError, LookupError, ValueError, TypeError, RuntimeError):
        # the reader says what is wrong with it
        return None


def few_molecules(section: Section, bin_um: float) -> tuple[Message, ...]:
    """Return a warning where bins hold so few molecules that a wider one tells more."""
    median = float(np.median(depth(section.counts)))
    if median >= LEAST_MOLECULES:
        return ()
    wide = bin_um
    while median * (wide / bin_um) ** 2 < LEAST_MOLECULES:
        wide *= 2
    text = (
        f"Bins of {bin_um:g} µm hold {median:.0f} molecules (median), too few to tell most genes; bins of {wide:g} µm "
        f"would hold some {median * (wide / bin_um) ** 2:.0f} (`bin_um`)."
    )
    return (Message("warning", text),)
