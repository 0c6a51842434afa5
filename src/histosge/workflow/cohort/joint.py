"""One model of all sections of a cohort: fitted once, and applied to each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from histosge._runtime.messages import emit
from histosge.errors import UsageError
from histosge.models import saving
from histosge.models.base import Predictor, SectionsModel
from histosge.models.gene_order import in_gene_order
from histosge.prediction.factored import Basis
from histosge.section.genes import GenePanel
from histosge.section.inputs import Inputs, in_section
from histosge.section.multi_section import AuxiliarySection, SectionGroup
from histosge.section.section import Section
from histosge.section.target import Target
from histosge.workflow.applied_fit import AppliedFit
from histosge.workflow.compute import Compute
from histosge.workflow.encode import encode_spots
from histosge.workflow.fit import FitPlan
from histosge.workflow.fit_metadata import FitMetadata, FittedSection
from histosge.workflow.job import Job, encode_task
from histosge.workflow.memory import memory_message
from histosge.workflow.recipe import Recipe
from histosge.workflow.result import RunResult
from histosge.workflow.saved_fit import load_fit
from histosge.workflow.section_accuracy import SectionAccuracy

__all__ = ["JointFit", "fit_jointly", "predict_jointly", "predict_with_shared_fit"]


@dataclass(frozen=True, slots=True, eq=False)
class JointFit(AppliedFit):
    """A fit to several sections with one predictor, applied to one of them.

    Parameters
    ----------
    fit
        The fit; its first section is that of the panel.
    index
        Which section, from 0 in the order of the fit.
    accuracy
        Accuracy in sections left out of the fit, where that is known.
    """

    index: int
    accuracy: SectionAccuracy | None = None

    @property
    def predictor(self) -> Predictor:
        """What fitting returned."""
        return self.fit.predictor

    @property
    def auxiliary(self) -> tuple[AuxiliarySection, ...]:
        """The other sections of the fit."""
        every = (self.fit.metadata.section.as_auxiliary(), *self.fit.auxiliary)
        return tuple(section for number, section in enumerate(every) if number != self.index)

    @property
    def basis(self) -> str:
        """What its predictions rest on, as text."""
        return f"spots measured in this section and in {len(self.auxiliary)} others, fitted by one model"

    def inputs(self, inputs: Inputs) -> Inputs:
        """Return the inputs of locations as those of this section."""
        return in_section(inputs, self.index)

    def completed(self, basis: Basis, section: Section) -> Basis:
        """Return the basis; its accuracy is that of the first section, and unknown in the others."""
        return self.fit.completed(basis, section) if self.index == 0 else basis.without_accuracy()


def fit_jointly(
    sections: Sequence[Section], recipe: Recipe, *, folders: Sequence[Path], compute: Compute = Compute()
) -> None:
    """Fit one model to all spots of all sections; each section has means of its own, and they share factors.

    Parameters
    ----------
    sections
        With counts. Genes are those that all have, the most variable of the first.
    recipe
        What to fit.
    folders
        Where the fit of each section is kept; of a model with one predictor for all sections, the first one's.
    compute
        Device and store.

    Raises
    ------
    UsageError
        Where genes of the sections have other names, and where memory is too small.
    """
    plan = FitPlan.of(sections[0], recipe, auxiliary=sections[1:], compute=compute)
    if not isinstance(plan.model, SectionsModel):
        if plan.saved(folders[0]) is None:
            plan.fitted(plan.encoded(compute), compute=compute, folder=folders[0])
        return
    plans = [_plan_of(plan, sections, index) for index in range(len(sections))]
    kept = list(zip(plans, folders, strict=True))
    if all(own.is_saved(folder) for own, folder in kept):
        # a fit of another recipe may have been the latest one
        for own, folder in kept:
            own.metadata.write(folder)
        return
    # dense, however many spots there are
    spots, genes = len(plan.sections), len(plan.panel)
    needed = plan.model.card.bytes_per_value * spots * genes
    emit(memory_message(plan.model, spots, genes, needed=needed))
    inputs = encode_spots(sections, needs=plan.model.needs, encoder=plan.encoder, compute=compute)
    samples = plan.sections.gather(plan.panel.by_name(), inputs, depth_adjusted=recipe.depth_adjusted)
    predictors = plan.model.fit_sections(
        samples,
        diameters_um=[float(section.spots.diameter_um) for section in sections],
        seed=recipe.seed,
        runtime=compute.runtime(),
    )
    for own, folder, predictor in zip(plans, folders, predictors, strict=True):
        saving.save(folder / own.key, plan.model, in_gene_order(predictor, own.panel.names))
        own.metadata.write(folder)


def _plan_of(plan: FitPlan, sections: Sequence[Section], index: int) -> FitPlan:
    """Return the plan of a joint fit as that of one of its sections."""
    section, others = sections[index], [*sections[:index], *sections[index + 1 :]]
    names = plan.panel.names
    unknown = sorted(set(names.tolist()) - set(section.genes.tolist()))
    if unknown:
        raise UsageError(
            f"Genes of '{section.name}' have other names than those of '{sections[0].name}', such as {unknown[0]}. "
            "Give sections whose genes have the same names to a joint fit."
        )
    panel = GenePanel(names, section.columns(names), plan.panel.spec, plan.panel.missing)
    metadata = FitMetadata(
        plan.recipe,
        FittedSection.of(section, panel),
        SectionGroup.of(section, others).auxiliary_summary(),
        panel.missing,
        joint=True,
    )
    return replace(plan, panel=panel, metadata=metadata, key=metadata.key(plan.encoder))


def predict_jointly(section: Section, target: Target | None, *, job: Job) -> RunResult:
    """Predict a section with its part of a joint fit, and write its folder as :func:`histosge.run` does.

    Parameters
    ----------
    section
        Which section.
    target
        Where; ``None`` takes the default.
    job
        Stages and folder, which holds the fit.

    Raises
    ------
    UsageError
        Where the fit is gone, or was one to other data.
    """
    job.refuse_overwriting(section, target)
    task = job.locate(section, target)
    with job.stage("encode") as compute:
        fit = load_fit(section, job.fits, compute=compute)
        inputs = encode_task(task, fit, compute)
    return job.finish(fit, replace(task, section=task.section.with_messages(*fit.messages)), inputs)


def predict_with_shared_fit(
    sections: Sequence[Section],
    index: int,
    recipe: Recipe,
    *,
    target: Target | None,
    folder: Path,
    job: Job,
) -> RunResult:
    """Predict one section of a joint fit whose model has one predictor for all sections.

    Parameters
    ----------
    sections, recipe
        As given to :func:`fit_jointly`.
    index
        Which section.
    target
        Where; ``None`` takes the default.
    folder
        Holds the fit.
    job
        Stages and folder.
    """
    section = sections[index]
    job.refuse_overwriting(section, target)
    task = job.locate(section, target)
    with job.stage("encode") as compute:
        plan = FitPlan.of(sections[0], recipe, auxiliary=sections[1:], compute=compute)
        inputs = encode_task(task, plan, compute)
    with job.stage("fit") as compute:
        fit = plan.saved(folder) or plan.fitted(plan.encoded(compute), compute=compute, folder=folder)
    task = replace(task, section=task.section.with_messages(*fit.messages))
    return job.finish(JointFit(fit, index), task, inputs)
