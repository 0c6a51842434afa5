"""The table of effective resolutions in a folder."""

from __future__ import annotations

from pathlib import Path

from histosge._runtime.atomic_files import atomic_path, writable_folder
from histosge.io.own_files import refuse_foreign_outputs, refuse_inputs
from histosge.prediction.effective_resolution import EffectiveResolution
from histosge.section.section import Section

__all__ = ["refuse_overwriting", "write_table"]

_TABLE = "effective_resolution.tsv"


def refuse_overwriting(out: Path, section: Section) -> None:
    """Refuse a folder in which the table would replace an input, or a file that this program did not write.

    Raises
    ------
    UsageError
        Before anything is computed or written.
    """
    refuse_inputs([out / _TABLE], section.sources)
    refuse_foreign_outputs([out / _TABLE], out)


def write_table(result: EffectiveResolution, out: Path) -> Path:
    """Write a row for each gene: its effective resolution in µm, and its reliability by width."""
    writable_folder(out)
    path = out / _TABLE
    with atomic_path(path) as draft:
        result.to_frame().to_csv(draft, sep="\t", index=False, float_format="%.6g", na_rep="unknown")
    return path
