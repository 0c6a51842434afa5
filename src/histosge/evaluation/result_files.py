"""The files of an evaluation: tables, figures and splits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.provenance import environment
from histosge._runtime.spreadsheet import as_cell
from histosge.figures.png import save_png
from histosge.figures.score_charts import against_kriging, share_of_ceiling, violins
from histosge.io.own_files import refuse_foreign_outputs, refuse_inputs

from .plan import Plan, Trial
from .planned_studies import study_of
from .result import EvaluationResult
from .tables import markdown

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["refuse_overwriting", "write_result", "write_splits"]

_FILES = ("scores.parquet", "scores.json", "scores.md", "costs.json")


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


def write_result(result: EvaluationResult, out: Path) -> EvaluationResult:
    """Write tables and figures into a folder; return the result with its files."""
    with atomic_path(out / "scores.parquet") as draft:
        result.scores.to_parquet(draft, index=False)
    _write_json(out / "scores.json", result.as_dict())
    _write_json(out / "costs.json", {"environment": environment(), "trials": result.costs()})
    with atomic_path(out / "scores.md") as draft:
        draft.write_text(markdown(result), encoding="utf-8")
    tables = [out / name for name in _FILES]
    return replace(result, files=(*tables, *_draw(result.scores, out / "figures")))


def write_splits(plan: Plan, trials: Sequence[Trial], folder: Path) -> None:
    """Write the training and test spots of every section, split and seed."""
    for trial in {trial.division: trial for trial in trials}.values():
        study = study_of(plan, trial)
        sets = np.full(len(study.target), "neither", dtype="<U8")
        sets[study.training], sets[study.test] = "training", "test"
        name = _file_name(f"{study.target.name}_{trial.split}_seed{trial.recipe.seed}.tsv")
        lines = [
            f"{as_cell(spot)}\t{used_as}" for spot, used_as in zip(study.target.spots.ids, sets, strict=True)
        ]
        with atomic_path(folder / name) as draft:
            draft.write_text("\n".join(["spot\tset", *lines]) + "\n", encoding="utf-8")


def _draw(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw the figures of each section and split."""
    paths = []
    for (section, split), part in frame.groupby(["section", "split"], observed=True, sort=False):
        for draw in (violins, against_kriging, share_of_ceiling):
            path = folder / _file_name(f"{section}_{split}_{draw.__name__}.png")
            save_png(draw(part), path)
            paths.append(path)
    return paths


def _file_name(text: str) -> str:
    return text.replace(":", "-").replace("/", "-")


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with atomic_path(path) as draft:
        draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
