"""Running a plan: every cell once, in one process or many, and the tables of all of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path, writable_folder
from histosge._runtime.provenance import environment
from histosge.errors import UsageError
from histosge.figures.maps import save
from histosge.figures.scores import against_kriging, share_of_ceiling, violins
from histosge.workflow.compute import Compute
from histosge.workflow.encode import encoder_for
from histosge.workflow.recipe import Recipe

from . import deviations
from .plan import Cell, Plan
from .scores import COLUMNS, summary
from .study import look
from .tables import markdown
from .trial import Outcome, about, key_of, read_outcome, run_cell, section_of, study_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["benchmark"]

_CELLS, _SPLITS = "cells", "splits"


def benchmark(plan: Plan, out: Path, compute: Compute = Compute(), *, jobs: int = 1) -> dict[str, Any]:
    """Run what is missing of a plan, write the tables into ``out`` and return the summary.

    Parameters
    ----------
    plan
        What to run.
    out
        Receives ``scores.parquet`` (the tidy table), ``scores.json`` (the summary), ``costs.json``, ``figures/``,
        ``splits/`` (which spots were fitted and scored) and the cells, which a later run reuses.
    compute
        Where.
    jobs
        Processes.

    Raises
    ------
    UsageError, DataError, WeightsError
        In one sentence each; cells that are done stay.
    """
    if jobs < 1:
        raise UsageError(f"`jobs` must be 1 or more, got {jobs}.")
    _told_apart(plan)
    writable_folder(out)
    compute = compute if compute.store is not None else replace(compute, store=out / "features")
    cells = list(plan.cells())
    folders = [out / _CELLS / key_of(plan, cell) for cell in cells]
    waiting = [
        (cell, folder)
        for cell, folder in zip(cells, folders, strict=True)
        if not (folder / "cell.json").exists()
    ]
    for cell, _ in waiting:
        _look_ahead(plan, cell, compute)
    _run(plan, waiting, replace(compute, progress=None), jobs, compute.progress)
    return _collect(plan, cells, [read_outcome(folder) for folder in folders], out)


def _told_apart(plan: Plan) -> None:
    """Refuse sections of one name: their scores would be averaged as if they were one."""
    names = [section_of(spec).name for spec in plan.sections]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(
            f"Two sections are called '{twice}'. Give them names in the plan: {{ path = …, name = 'A' }}."
        )


def _look_ahead(plan: Plan, cell: Cell, compute: Compute) -> None:
    """Compute the features a cell needs, so that it has nothing to write beside its scores."""
    needs = cell.entry.build().needs
    study = study_of(plan, cell)
    if study.target.slide is not None and (needs.features or needs.colour):
        recipe = Recipe(cell.entry.model, encoder=cell.encoder or "texture")
        look(
            study,
            cell.entry.build(),
            encoder_for(study.target, recipe, needs=needs, compute=compute),
            compute,
        )


def _run(
    plan: Plan,
    waiting: list[tuple[Cell, Path]],
    compute: Compute,
    jobs: int,
    progress: Callable[[int, int, str], None] | None,
) -> None:
    def tell(done: int) -> None:
        if progress is not None:
            progress(done, len(waiting), "judging")

    if jobs == 1:
        for done, (cell, folder) in enumerate(waiting):
            run_cell(plan, cell, compute, folder)
            tell(done + 1)
        return
    # forked workers of a process that has run PyTorch hang
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(run_cell, plan, cell, compute, folder) for cell, folder in waiting]
        for done, future in enumerate(running):
            future.result()
            tell(done + 1)


def _collect(plan: Plan, cells: list[Cell], outcomes: list[Outcome], out: Path) -> dict[str, Any]:
    """Write the tables; nothing in the scores depends on time or machine."""
    import pandas as pd

    seen: set[tuple[int, str, int]] = set()
    frames: list[pd.DataFrame] = []
    for cell, outcome in zip(cells, outcomes, strict=True):
        if (where := (cell.section, cell.split, cell.seed)) not in seen:
            seen.add(where)
            frames.append(about(plan, cell))
            _keep_split(plan, cell, out / _SPLITS)
        if len(outcome.frame):
            frames.append(outcome.frame)
    frame = pd.concat(frames, ignore_index=True)
    words = [name for name in COLUMNS if name not in ("seed", "value")]
    frame = frame.astype(dict.fromkeys(words, "category"))
    records = [outcome.record for outcome in outcomes]
    content = {
        "note": plan.note,
        "genes": plan.genes,
        "hvg_scope": plan.hvg_scope,
        "seeds": list(plan.seeds),
        "leaks_declared": sorted({leak for record in records for leak in record.get("leaks", [])}),
        "passed_over": [record for record in records if "passed_over" in record],
        "remarks": _remarks(records),
        "rows": (rows := summary(frame)),
        "deviations": deviations.worth(plan.deviations, rows),
    }
    with atomic_path(out / "scores.parquet") as draft:
        frame.to_parquet(draft, index=False)
    _write(out / "scores.json", content)
    costs = [{k: v for k, v in record.items() if k != "summary"} for record in records if "cost" in record]
    _write(out / "costs.json", {"environment": environment(), "cells": costs})
    told = {**content, "costs": costs}
    with atomic_path(out / "scores.md") as draft:
        draft.write_text(markdown(told), encoding="utf-8")
    figures = [str(path.relative_to(out)) for path in _draw(frame, out / "figures")]
    return {**told, "files": ["scores.parquet", "scores.json", "scores.md", "costs.json", *figures]}


def _keep_split(plan: Plan, cell: Cell, folder: Path) -> None:
    """Write down which spots every model of a section, split and seed was fitted to and scored on."""
    study = study_of(plan, cell)
    use = np.full(len(study.target), "neither", dtype="<U8")
    use[study.training], use[study.test] = "training", "test"
    name = f"{study.target.name}_{cell.split}_seed{cell.seed}.tsv".replace(":", "-").replace("/", "-")
    lines = [f"{spot}\t{word}" for spot, word in zip(study.target.spots.ids, use, strict=True)]
    with atomic_path(folder / name) as draft:
        draft.write_text("\n".join(["spot\tset", *lines]) + "\n", encoding="utf-8")


def _draw(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw each section and split."""
    drawn = []
    for (section, split), part in frame.groupby(["section", "split"], observed=True, sort=False):
        for figure_of in (violins, against_kriging, share_of_ceiling):
            name = f"{section}_{split}_{figure_of.__name__}".replace(":", "-").replace("/", "-")
            drawn.append(folder / f"{name}.png")
            save(figure_of(part), drawn[-1])
    return drawn


def _remarks(records: list[Any]) -> dict[str, str]:
    """Return what every table must say of a row, such as that its network began at random."""
    found = {}
    for record in records:
        if remark := record.get("summary", {}).get("initialisation"):
            found[f"{record['model']} {record['preset']}".strip()] = remark
    return found


def _write(path: Path, content: dict[str, Any]) -> None:
    with atomic_path(path) as draft:
        draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
