"""The files of an evaluation: tables, figures and splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.hashing import fingerprint_file, fingerprint_path
from histosge._runtime.provenance import environment
from histosge._runtime.records import write_record
from histosge._runtime.spreadsheet import as_cell
from histosge.errors import UsageError
from histosge.figures.png import save_png
from histosge.figures.score_charts import against_kriging, share_of_ceiling, violins
from histosge.io.own_files import is_own, refuse_foreign_outputs, refuse_inputs
from histosge.io.score_record import SCORES, score_files

from .plan import Plan, Trial
from .planned_studies import study_of
from .result import EvaluationResult
from .tables import markdown

__all__ = ["refuse_overwriting", "write_result", "write_splits"]

_FILES = ("scores.parquet", SCORES, "scores.md", "genes.parquet", "fits.parquet", "costs.json")


def refuse_overwriting(plan: Plan, out: Path) -> None:
    """Refuse a folder in which tables would overwrite an input, or a file that this program did not write.

    Raises
    ------
    UsageError
        Before anything is computed or written.
    """
    paths = [out / name for name in _FILES]
    inputs = [path for spec in plan.specs for path in (spec.source, spec.image) if isinstance(path, Path)]
    refuse_inputs(paths, inputs)
    refuse_foreign_outputs(paths, out)


def write_result(result: EvaluationResult, out: Path, splits: Sequence[Path]) -> EvaluationResult:
    """Write tables and figures into a folder; return the result with its files.

    ``scores.json`` comes last, with a hash of each table and of each of the ``splits``.
    """
    tables = {"scores": result.scores, "genes": result.genes, "fits": result.fits}
    for name, table in tables.items():
        with atomic_path(out / f"{name}.parquet") as draft:
            table.to_parquet(draft, index=False)
    write_record(out / "costs.json", {"environment": environment(), "trials": result.costs()})
    with atomic_path(out / "scores.md") as draft:
        draft.write_text(markdown(result), encoding="utf-8")
    figures = _draw(result, out / "figures")
    # seconds differ between runs: the table of fits is not among the files whose hashes are listed
    written = [out / "scores.parquet", out / "genes.parquet", out / "scores.md", *splits]
    files = {path.relative_to(out).as_posix(): fingerprint_file(path) for path in written}
    write_record(out / SCORES, result.as_dict() | {"files": files})
    return replace(result, files=(*(out / name for name in _FILES), *figures))


def write_splits(plan: Plan, trials: Sequence[Trial], folder: Path) -> list[Path]:
    """Write the training and test spots of every section, split and seed; return the files.

    Raises
    ------
    UsageError
        For a file of that name that was changed since an evaluation wrote it, or that another program wrote.
    """
    written = []
    for trial in {trial.division: trial for trial in trials}.values():
        study = study_of(plan, trial)
        sets = np.full(len(study.target), "neither", dtype="<U8")
        sets[study.training], sets[study.test] = "training", "test"
        name = _file_name(f"{study.target.name}_{trial.split}_seed{trial.recipe.seed}.tsv")
        lines = [
            f"{as_cell(spot)}\t{used_as}" for spot, used_as in zip(study.target.spots.ids, sets, strict=True)
        ]
        _write_split(folder / name, "\n".join(["spot\tset", *lines]) + "\n")
        written.append(folder / name)
    return written


def _write_split(path: Path, text: str) -> None:
    listed = score_files(path.parent.parent).get(f"{path.parent.name}/{path.name}")
    if path.exists() and path.read_bytes() != text.encode():
        changed = listed is not None and fingerprint_path(path) != listed
        if changed or not is_own(path):
            raise UsageError(
                f"'{path}' was changed, or another program wrote it. Move it away, or choose another `out`."
            )
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8")


def _draw(result: EvaluationResult, folder: Path) -> list[Path]:
    """Draw the figures of each section and split."""
    paths = []
    by, genes = ["section", "split"], result.genes
    for (section, split), part in result.scores.groupby(by, observed=True, sort=False):
        own = genes[(genes["section"] == section) & (genes["split"] == split)]
        figures = {
            violins: violins(part),
            against_kriging: against_kriging(part),
            share_of_ceiling: share_of_ceiling(part, float(own["ceiling"].mean())),
        }
        for draw, figure in figures.items():
            path = folder / _file_name(f"{section}_{split}_{draw.__name__}.png")
            save_png(figure, path)
            paths.append(path)
    return paths


def _file_name(text: str) -> str:
    return text.replace(":", "-").replace("/", "-")
