"""One cell of a benchmark: audit, fit, predict, score; everything it writes is in its own folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.hashing import fingerprint
from histosge._runtime.provenance import Gauge
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.io.readers import read
from histosge.metrics import Comparison
from histosge.metrics.ceiling import noise_ceiling
from histosge.models.base import AdaptivePredictor, Model, Predictor, predict
from histosge.section import splits
from histosge.section.expression import depth, log_cp10k
from histosge.section.genes import GenePanel
from histosge.section.section import Section
from histosge.workflow.compute import Compute
from histosge.workflow.encode import encoder_for
from histosge.workflow.recipe import Recipe

from .audit import Leak, audit
from .plan import WHOLE, WITH_AUXILIARY, Cell, Plan, SectionSpec
from .scores import score, tidy
from .study import Pipeline, Study, look

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Outcome", "about", "key_of", "read_outcome", "run_cell", "section_of", "study_of"]

# raised whenever scores of older versions may no longer be mixed with new ones
_VERSION = 3
_SCORES, _RECORD = "scores.parquet", "cell.json"


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of a cell.

    Parameters
    ----------
    frame
        Its part of the tidy table; empty where it was passed over.
    record
        Cost, facts of the fit, leaks, and why it was passed over if it was.
    """

    frame: pd.DataFrame
    record: Mapping[str, Any] = field(default_factory=dict)


def run_cell(
    plan: Plan, cell: Cell, compute: Compute, folder: Path, *, pipeline: Pipeline | None = None
) -> None:
    """Run a cell, unless ``folder`` has its outcome.

    Raises
    ------
    DataError
        When the audit finds a leak that the plan does not declare.
    """
    if (folder / _RECORD).exists():
        return
    study = study_of(plan, cell)
    outcome = _outcome(plan, cell, study, compute, pipeline or Pipeline.honest())
    with atomic_path(folder) as draft:
        draft.mkdir()
        outcome.frame.to_parquet(draft / _SCORES, index=False)
        (draft / _RECORD).write_text(json.dumps(outcome.record, indent=2) + "\n", encoding="utf-8")


def read_outcome(folder: Path) -> Outcome:
    """Return what :func:`run_cell` wrote."""
    import pandas as pd

    record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    return Outcome(pd.read_parquet(folder / _SCORES), record)


def key_of(plan: Plan, cell: Cell) -> str:
    """Return a hash of all that decides a cell's scores."""
    study = study_of(plan, cell)
    entry = cell.entry
    return fingerprint(
        _VERSION,
        [_print_of(section) for section in (study.target, *study.auxiliary)],
        study.target.name,
        [study.split, plan.genes, plan.hvg_scope, cell.encoder, cell.seed],
        [entry.model, entry.variant],
        entry.build(),
    )


@lru_cache(maxsize=8)
def _print_of(section: Section) -> str:
    """Return a section's fingerprint, worked out once for all its cells."""
    return section.fingerprint


def about(plan: Plan, cell: Cell) -> pd.DataFrame:
    """Return what is known of the genes of a cell's section, whatever the model: ceiling and mean expression."""
    study = study_of(plan, cell)
    panel = _panel(plan, cell)
    counts = study.target.counts
    values = {
        ("pooled", "ceiling"): _ceiling(study.target, tuple(panel.columns.tolist()), cell.seed),
        ("pooled", "expression"): np.asarray(log_cp10k(counts, columns=panel.columns).mean(axis=0)).ravel(),
    }
    return tidy(values, panel.names, _labels(cell, study) | {"model": "", "preset": "", "encoder": ""})


@lru_cache(maxsize=4)
def _ceiling(section: Section, columns: tuple[int, ...], seed: int) -> Array:
    return noise_ceiling(section.counts, np.array(columns), seed=seed)


def _outcome(plan: Plan, cell: Cell, study: Study, compute: Compute, pipeline: Pipeline) -> Outcome:
    import pandas as pd

    model = cell.entry.build()
    reason = _passed_over(study, model)
    if reason:
        return Outcome(pd.DataFrame(), {"passed_over": reason} | _labels(cell, study))
    recipe = Recipe(cell.entry.model, encoder=cell.encoder or "texture", genes=plan.genes, seed=cell.seed)
    inputs = look(
        study, model, encoder_for(study.target, recipe, needs=model.needs, compute=compute), compute
    )
    panel = _panel(plan, cell)
    leaks = audit(study, model, inputs, pipeline=pipeline, panel=panel, patients=_patients(plan, cell))
    _refuse(leaks, plan)
    gauge = Gauge()
    with gauge:
        samples = pipeline.gather(study, panel, inputs)
        runtime = compute.runtime()
        predictor = pipeline.learn(study, model, samples, runtime)
    fit_cost = gauge.cost
    with gauge:
        asked = inputs.take(np.arange(len(study.target)))
        if not len(study.training) and isinstance(predictor, AdaptivePredictor):
            predictor = predictor.adapted_to(asked)
        found = predict(predictor, asked)
    case = _case(study, panel, found.mean, found.sd)
    frame = tidy(score(case, _rows(study)), panel.names, _labels(cell, study))
    cost = {f"fit_{name}": value for name, value in fit_cost.items()}
    cost |= {f"predict_{name}": value for name, value in gauge.cost.items()}
    record = {"cost": cost, "summary": _facts(predictor), "leaks": [leak.sentence for leak in leaks]}
    return Outcome(frame, record | _labels(cell, study))


def _facts(predictor: Predictor) -> dict[str, Any]:
    """Return what was learnt in plain values; loss curves are long."""
    return {name: value for name, value in predictor.summary().items() if not isinstance(value, list)}


def _refuse(leaks: tuple[Leak, ...], plan: Plan) -> None:
    """Stop at leaks; a gene panel from all spots is one that a plan can declare."""
    grave = [leak for leak in leaks if not (leak.step == "gene panel" and plan.hvg_scope == "all")]
    if grave:
        raise DataError(f"Leak: {' '.join(leak.sentence for leak in grave)}")


def _passed_over(study: Study, model: Model) -> str:
    """Return why a model cannot answer, or nothing."""
    if study.target.slide is None and model.uses_image:
        return f"'{study.target.name}' has no image."
    if not len(study.training) and model.uses_position and not model.uses_image:
        return f"'{model.card.name}' interpolates, and no spot of '{study.target.name}' is retained."
    return ""


def _case(study: Study, panel: GenePanel, found: Array, sd: Array | None) -> Comparison:
    from scipy.spatial import cKDTree

    section = study.target
    nearest = np.full(len(section), np.inf)
    if len(study.training):
        nearest = cKDTree(section.spots.xy[study.training]).query(section.spots.xy)[0]
    counts = np.asarray(section.counts[:, panel.columns].toarray(), dtype=np.float64)
    return Comparison(
        log_cp10k(section.counts, columns=panel.columns).toarray(),
        found,
        sd,
        counts,
        depth(section.counts),
        section.spots.xy,
        # hundredths of µm are rounding: places on a lattice are equally far
        nearest.round(1),
    )


def _rows(study: Study) -> dict[str, Array]:
    return {"test": study.test, "training": study.training, "pooled": np.arange(len(study.target))}


def _labels(cell: Cell, study: Study) -> dict[str, Any]:
    return {
        "section": study.target.name,
        "split": cell.split,
        "model": cell.entry.model,
        "preset": cell.entry.variant,
        "encoder": cell.encoder,
        "seed": cell.seed,
    }


def _patients(plan: Plan, cell: Cell) -> tuple[str, ...]:
    """Return whom the target and then each section fitted come from, where they must differ."""
    if cell.split != "patients":
        return ()
    spec = plan.sections[cell.section]
    return (spec.patient, *(other.patient for other in _siblings(plan.sections, spec, cell.split)))


def _siblings(sections: tuple[SectionSpec, ...], spec: SectionSpec, split: str) -> tuple[SectionSpec, ...]:
    """Return the sections that are fitted to predict another one.

    Raises
    ------
    UsageError
        When there is none, or patients are not said.
    """
    chosen = tuple(other for other in sections if other != spec)
    if split == "patients":
        if not all(each.patient for each in sections):
            raise UsageError(
                "The split 'patients' needs to know whom every section comes from: `patient` in a plan, or --patients."
            )
        chosen = tuple(other for other in chosen if other.patient != spec.patient)
    if not chosen:
        raise UsageError(f"The split '{split}' needs further sections to fit; '{spec.path.name}' is alone.")
    return chosen


@lru_cache(maxsize=8)
def section_of(spec: SectionSpec) -> Section:
    """Read a section, once."""
    from dataclasses import replace

    section = read(spec.path, image=spec.image, mpp=spec.mpp)
    return replace(section, name=spec.name) if spec.name else section


def study_of(plan: Plan, cell: Cell) -> Study:
    """Return the study of a cell; sections are read once."""
    spec = plan.sections[cell.section]
    return _study(plan.sections, spec, cell.split, cell.seed, plan.genes, plan.hvg_scope)


@lru_cache(maxsize=4)
def _study(
    sections: tuple[SectionSpec, ...],
    spec: SectionSpec,
    split: str,
    seed: int,
    genes: str,
    hvg_scope: Literal["training", "all"],
) -> Study:
    target = section_of(spec)
    within = split.removesuffix(WITH_AUXILIARY)
    others: tuple[Section, ...] = ()
    if split in WHOLE or split != within:
        others = tuple(map(section_of, _siblings(sections, spec, split)))
    if split in WHOLE:
        whole = np.arange(len(target))
        return Study(target, whole[:0], whole, split, others, genes, hvg_scope, seed)
    found = splits.parse(within, target, seed)
    name = found.name + split.removeprefix(within)
    return Study(target, found.training, found.test, name, others, genes, hvg_scope, seed)


def _panel(plan: Plan, cell: Cell) -> GenePanel:
    return _chosen(study_of(plan, cell))


@lru_cache(maxsize=4)
def _chosen(study: Study) -> GenePanel:
    from .study import choose

    return choose(study)
