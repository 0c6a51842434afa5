"""What became of a cohort: a table with a row for each section, and a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.messages import Message
from histosge.errors import DataError, UsageError
from histosge.io.run_record import read_run

from .estimate import estimate
from .plan import CohortPlan
from .sheet import Sample

__all__ = ["CohortResult", "plain_rows", "summarise", "table_of"]

_STAGES = ("check", "encode", "predict", "left_out")
_ALL = "cohort"
# columns that may be missing in a row
_NUMBERS = (
    "mpp",
    "image_mpp",
    "r_loo",
    "r_loo_given_depth",
    "r_left_out",
    "r_left_out_given_depth",
    "memory_gib",
    "estimated_seconds",
    "estimated_memory_gib",
)
# files of a section that the page shows or names
_LINKED = {
    "overview": "figures/section.png",
    "markers": "figures/markers.png",
    "report": "report.html",
    "record": "run.json",
}
# what is to be mended comes first
_ORDER = ("failed", "interrupted", "waiting", "done")
_GIB = 2.0**30
_TYPES = {"spots": "Int64", "locations": "Int64", **dict.fromkeys(_NUMBERS, "Float64")}


@dataclass(frozen=True, slots=True, eq=False)
class CohortResult:
    """What a cohort became.

    Parameters
    ----------
    out
        Its folder.
    table
        A row for each sample: state, size, alignment, encoder, correlations, warnings, cost.
    files
        ``cohort.parquet``, ``cohort.html``; where all sections are done ``cohort.h5ad``, and ``cohort.zarr`` where the
        sections are written as SpatialData too.
    messages
        What was noticed about all sections together.
    """

    out: Path
    table: Any
    files: tuple[Path, ...]
    messages: tuple[Message, ...] = ()

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the samples that are not done because of an error."""
        return tuple(self.table.index[self.table["state"] == "failed"])


def summarise(plan: CohortPlan, files: Sequence[Path] = (), messages: Sequence[Message] = ()) -> CohortResult:
    """Write ``cohort.parquet`` and ``cohort.html`` from the state of a cohort.

    Parameters
    ----------
    plan
        The cohort.
    files
        ``cohort.h5ad`` and ``cohort.zarr``, where they were written.
    messages
        About all sections together.
    """
    table = table_of(plan, plan.sheet.samples)
    paths = [plan.out / "cohort.parquet", plan.out / "cohort.html"]
    with atomic_path(paths[0]) as draft:
        table.to_parquet(draft)
    with atomic_path(paths[1]) as draft:
        draft.write_text(_page(plan, plain_rows(table), messages), encoding="utf-8")
    return CohortResult(plan.out, table, (*paths, *files), tuple(messages))


def table_of(plan: CohortPlan, samples: Sequence[Sample]) -> Any:
    """Return a table with a row for each of ``samples``, from the state of a cohort."""
    import pandas as pd

    rows = [_row(plan, sample) for sample in samples]
    # of values that may be missing: whole numbers stay whole
    return pd.DataFrame(rows).set_index("sample").astype(_TYPES)


def plain_rows(table: Any) -> list[dict[str, Any]]:
    """Return the rows of a table of :func:`table_of` as plain values; ``None`` where a value is missing."""
    plain = table.reset_index().astype(object)
    rows: list[dict[str, Any]] = plain.where(plain.notna(), None).to_dict("records")
    return rows


def _row(plan: CohortPlan, sample: Sample) -> dict[str, Any]:
    outcomes = {stage: plan.state.read(sample.sample, stage) for stage in _STAGES}
    held = {stage: outcome for stage, outcome in outcomes.items() if outcome is not None}
    failed = next((outcome for outcome in held.values() if outcome.status != "done"), None)
    ended = "interrupted" if failed is not None and failed.status == "interrupted" else "failed"
    done = "predict" in held and failed is None
    properties = held["check"].properties if "check" in held else {}
    left_out = held["left_out"].properties if "left_out" in held else {}
    record = _record(plan.folder(sample)) if done else {}
    fit = record.get("fit") or {}
    cost = estimate(properties) if properties else None
    memory = [outcome.peak_memory_bytes for outcome in held.values() if outcome.peak_memory_bytes]
    return {
        "sample": sample.sample,
        "state": ended if failed else "done" if done else "waiting",
        "reason": failed.reason if failed else "",
        "patient": sample.patient,
        "batch": sample.batch,
        "group": sample.group,
        "platform": properties.get("platform", ""),
        "spots": properties.get("spots"),
        "locations": properties.get("locations"),
        "mpp": properties.get("mpp"),
        "image_mpp": properties.get("image_mpp"),
        "alignment": properties.get("alignment", ""),
        "encoder": plan.recipe.encoder,
        "r_loo": fit.get("mean_r_loo"),
        "r_loo_given_depth": fit.get("mean_r_loo_given_depth"),
        "r_left_out": left_out.get("r"),
        "r_left_out_given_depth": left_out.get("r_given_depth"),
        "warnings": list(dict.fromkeys(text for outcome in held.values() for text in outcome.messages)),
        "attempts": max((outcome.attempts for outcome in held.values()), default=0),
        "seconds": sum(outcome.seconds for outcome in held.values()),
        "memory_gib": max(memory) / _GIB if memory else None,
        "estimated_seconds": None if cost is None else cost.seconds,
        "estimated_memory_gib": None if cost is None else cost.memory_bytes / _GIB,
    }


def _record(folder: Path) -> dict[str, Any]:
    try:
        return read_run(folder)
    except (UsageError, DataError):
        return {}


def _page(plan: CohortPlan, rows: list[dict[str, Any]], messages: Sequence[Message]) -> str:
    from jinja2 import Environment

    text = files(__package__).joinpath("summary.html").read_text(encoding="utf-8")
    rows = sorted(rows, key=lambda row: _ORDER.index(row["state"]))
    for row in rows:
        folder = plan.folder(plan.sample(row["sample"]))
        for key, name in _LINKED.items():
            path = folder / name
            row[key] = (
                path.relative_to(plan.out).as_posix() if row["state"] == "done" and path.exists() else ""
            )
    together = [plan.state.read(_ALL, "fit")] if plan.fit == "joint" else []
    return (
        Environment(autoescape=True)
        .from_string(text)
        .render(
            rows=rows,
            plan=plan,
            mend=[row for row in rows if row["reason"]],
            messages=[message.text for message in messages],
            model=plan.recipe.variant if plan.recipe.preset else plan.recipe.model,
            version=version("histosge"),
            joint=together[0] if together else None,
            named={name: any(row[name] for row in rows) for name in ("patient", "group")},
            counts={state: sum(row["state"] == state for row in rows) for state in _ORDER},
        )
    )
