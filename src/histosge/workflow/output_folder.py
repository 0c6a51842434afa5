"""A run owns its folder: it replaces what earlier runs wrote there, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from histosge._runtime.atomic_files import output_errors
from histosge._runtime.hashing import fingerprint_path
from histosge.errors import DataError, UsageError
from histosge.io.own_files import is_own, refuse_foreign_outputs, refuse_inputs
from histosge.io.run_record import read_run
from histosge.io.unmeasured_file import NAME as UNMEASURED
from histosge.io.writers import WRITERS
from histosge.section.section import Section
from histosge.section.target import Target

from .outputs import FIGURES, Outputs

__all__ = ["refuse_overwriting", "remove_outputs_of_earlier_runs"]

_RECORD, _PAGE = "run.json", "report.html"


def refuse_overwriting(
    out: Path, outputs: Outputs, *, sections: Sequence[Section], target: Target | None
) -> None:
    """Refuse a folder in which a run would overwrite its own input, or a file that this program did not write.

    Raises
    ------
    UsageError
        Before anything is computed or written.
    """
    further = [WRITERS[name].filename for name in outputs.also]
    figures = FIGURES if outputs.figures else ()
    names = ("prediction.h5ad", "factors.h5ad", UNMEASURED, _RECORD, "fit/fit.json", *figures, *further)
    paths = [out / name for name in names]
    inputs = [path for section in sections for path in section.sources]
    named = () if target is None else (target.regions, target.cells)
    inputs += [Path(path) for path in named if isinstance(path, (str, Path))]
    refuse_inputs(paths, inputs)
    refuse_foreign_outputs(paths, out)


def remove_outputs_of_earlier_runs(
    out: Path, metadata: Mapping[str, Any], written: Iterable[Path]
) -> list[Path]:
    """Remove what earlier runs left in a folder, except for files that belong to the same result.

    Parameters
    ----------
    out
        The folder.
    metadata
        What identifies the result that was just written.
    written
        Its files.

    Returns
    -------
    Files of an earlier run of the same result, such as further formats, which are kept.
    """
    earlier = _earlier(out)
    files: dict[str, str] = earlier.get("files") or {}
    plain = json.loads(json.dumps(metadata))
    same = bool(earlier) and all(earlier.get(name) == value for name, value in plain.items())
    new = {path.relative_to(out).as_posix() for path in written}
    names = {*files, _PAGE, UNMEASURED, *FIGURES, *(writer.filename for writer in WRITERS.values())} - new
    kept = []
    for name in sorted(names):
        path = out / name
        if not path.exists():
            continue
        unchanged = name in files and fingerprint_path(path) == files[name]
        if same and unchanged:
            kept.append(path)
        elif unchanged or is_own(path):
            _remove(path)
    return kept


def _earlier(out: Path) -> dict[str, Any]:
    try:
        return read_run(out)
    except (UsageError, DataError):
        return {}


def _remove(path: Path) -> None:
    with output_errors(path):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
