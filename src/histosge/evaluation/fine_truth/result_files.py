"""The files of an evaluation against a finer truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.provenance import environment
from histosge.figures.fine_truth_maps import FineTruthMaps, fine_truth_maps
from histosge.figures.png import save_png
from histosge.io.own_files import refuse_foreign_outputs, refuse_inputs

from .result import FineTruthResult
from .tables import markdown

__all__ = ["refuse_overwriting", "write_result"]

_FILES = ("fine_truth.parquet", "fine_truth.json", "fine_truth.md", "costs.json", "fine_truth_genes.parquet")
_FIGURE = "fine_truth.png"


def refuse_overwriting(sources: Sequence[Path], out: Path) -> None:
    """Refuse a folder in which an output would replace an input, or a file that this program did not write.

    Raises
    ------
    UsageError
        Before anything is computed or written.
    """
    paths = [out / name for name in (*_FILES, _FIGURE)]
    refuse_inputs(paths, sources)
    refuse_foreign_outputs(paths, out)


def write_result(result: FineTruthResult, maps: FineTruthMaps, out: Path) -> FineTruthResult:
    """Write tables and the figure into a folder; return the result with its files."""
    for name, table in ((_FILES[0], result.scores), (_FILES[4], result.genes)):
        with atomic_path(out / name) as draft:
            table.to_parquet(draft, index=False)
    records = (
        result.as_dict(),
        {"environment": environment(), "trials": [dict(part) for part in result.costs]},
    )
    for name, record in zip((_FILES[1], _FILES[3]), records, strict=True):
        with atomic_path(out / name) as draft:
            draft.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    with atomic_path(out / _FILES[2]) as draft:
        draft.write_text(markdown(result), encoding="utf-8")
    figure = save_png(fine_truth_maps(maps), out / _FIGURE)
    return replace(result, files=(*(out / name for name in _FILES), figure))
