"""The studies of a plan: sections are read once, and divided once per split and seed."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from histosge.errors import UsageError
from histosge.io.readers import read
from histosge.programs.alignment import ProgramsLike, programs_of
from histosge.programs.gene_programs import Programs
from histosge.section.genes import GeneChoice, GenePanel
from histosge.section.section import Section

from .plan import AUXILIARY_SUFFIX, WHOLE_SECTION, Plan, SectionSpec, Trial
from .study import Study, choose_genes

__all__ = ["panel_of", "patients_of", "refuse_equal_names", "section_of", "study_of"]

# trials come grouped by study: a few are enough, and large sections would fill the memory
_SECTIONS, _STUDIES = 8, 4


@lru_cache(maxsize=_SECTIONS)
def section_of(spec: SectionSpec) -> Section:
    """Return the section of a plan, read from disk once."""
    section = spec.source
    if isinstance(section, Path):
        section = read(section, image=spec.image, mpp=spec.mpp)
    return replace(section, name=spec.name) if spec.name else section


def study_of(plan: Plan, trial: Trial) -> Study:
    """Return the study of a trial; trials of one section, split and seed share it."""
    # plain values instead of the plan: the cache needs hashable arguments
    section, split, seed = trial.division
    return _study(
        plan.specs,
        section,
        split=split,
        seed=seed,
        genes=GeneChoice.parse(plan.genes),
        hvg_scope=plan.hvg_scope,
        programs=tuple(plan.programs),
        depth_adjusted=trial.recipe.depth_adjusted,
    )


def panel_of(plan: Plan, trial: Trial) -> GenePanel:
    """Return the genes of a trial; trials of one section, split and seed share them."""
    return _panel(study_of(plan, trial))


def patients_of(plan: Plan, trial: Trial) -> tuple[str, ...]:
    """Return the patients of the target and of each fitted section, where they must differ; else nothing."""
    if trial.split != "patients":
        return ()
    spec = plan.specs[trial.section]
    return (spec.patient, *(other.patient for other in _auxiliary(plan.specs, spec, trial.split)))


def refuse_equal_names(plan: Plan) -> None:
    """Refuse a plan with two sections of one name: their scores would be averaged as if they were one section.

    Raises
    ------
    UsageError
        For such a plan.
    """
    names = [section_of(spec).name for spec in plan.specs]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise UsageError(
            f"Two sections are named '{repeated}'. Give them names in the plan: {{ path = …, name = 'A' }}."
        )


@lru_cache(maxsize=_STUDIES)
def _study(
    specs: tuple[SectionSpec, ...],
    section: int,
    *,
    split: str,
    seed: int,
    genes: GeneChoice,
    hvg_scope: Literal["training", "all"],
    programs: tuple[ProgramsLike, ...],
    depth_adjusted: bool,
) -> Study:
    spec = specs[section]
    target = section_of(spec)
    within = split.removesuffix(AUXILIARY_SUFFIX)
    auxiliary: tuple[Section, ...] = ()
    if split in WHOLE_SECTION or split != within:
        auxiliary = tuple(map(section_of, _auxiliary(specs, spec, split)))
    if split in WHOLE_SECTION:
        rows = np.arange(len(target))
        # no spot of the target is fitted: all of them are test spots
        return Study(
            target,
            training=rows[:0],
            test=rows,
            split=split,
            auxiliary=auxiliary,
            genes=genes,
            hvg_scope=hvg_scope,
            seed=seed,
            programs=_programs(programs),
            depth_adjusted=depth_adjusted,
        )
    study = Study.of(target, within, genes=genes, seed=seed)
    name = study.split + split.removeprefix(within)
    return replace(
        study,
        split=name,
        auxiliary=auxiliary,
        hvg_scope=hvg_scope,
        programs=_programs(programs),
        depth_adjusted=depth_adjusted,
    )


@lru_cache(maxsize=2)
def _programs(programs: tuple[ProgramsLike, ...]) -> tuple[Programs, ...]:
    """Return gene programs, read or built once."""
    return programs_of(programs)


@lru_cache(maxsize=_STUDIES)
def _panel(study: Study) -> GenePanel:
    return choose_genes(study)


def _auxiliary(specs: tuple[SectionSpec, ...], spec: SectionSpec, split: str) -> tuple[SectionSpec, ...]:
    """Return the sections that are fitted to predict another one.

    Raises
    ------
    UsageError
        When there is none, or a patient is missing.
    """
    # specs are compared, not sections: a plan may hold one path twice under two names
    others = tuple(other for other in specs if other != spec)
    if split == "patients":
        if not all(section.patient for section in specs):
            raise UsageError(
                "The split 'patients' needs the patient of every section: `patient` in a plan, or `patients`."
            )
        others = tuple(other for other in others if other.patient != spec.patient)
    if not others:
        raise UsageError(
            f"The split '{split}' needs further sections to fit; '{spec.label}' is the only one."
        )
    return others
