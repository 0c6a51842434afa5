"""One model of all sections of a cohort: fitted once, and applied to each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from histosge.models.base import Predictor
from histosge.prediction.factored import Basis
from histosge.prediction.total_counts import TotalCounts
from histosge.section.inputs import Inputs, in_section
from histosge.section.multi_section import AuxiliarySection
from histosge.section.section import Section
from histosge.section.target import Target
from histosge.workflow.applied_fit import AppliedFit
from histosge.workflow.compute import Compute
from histosge.workflow.fit import Fit, FitPlan
from histosge.workflow.job import Job, encode_task
from histosge.workflow.recipe import Recipe
from histosge.workflow.result import RunResult
from histosge.workflow.section_accuracy import SectionAccuracy

__all__ = ["JointFit", "fit_jointly", "predict_jointly"]


@dataclass(frozen=True, slots=True, eq=False)
class JointFit(AppliedFit):
    """A fit to several sections, applied to one of them.

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

    def total_counts(self, section: Section) -> TotalCounts | None:
        """Return how total counts follow from factor scores, in the first section."""
        return self.fit.total_counts(section) if self.index == 0 else None

    def completed(self, basis: Basis, section: Section) -> Basis:
        """Return the basis; its accuracy is that of the first section, and unknown in the others."""
        return self.fit.completed(basis, section) if self.index == 0 else basis.without_accuracy()


def fit_jointly(
    sections: Sequence[Section], recipe: Recipe, *, folder: Path, compute: Compute = Compute()
) -> Fit:
    """Fit one model to all spots of all sections; each section has means of its own, and they share factors.

    Parameters
    ----------
    sections
        With counts. Genes are those that all have, the most variable of the first.
    recipe
        What to fit.
    folder
        Keeps the fit, which is loaded where it is there.
    compute
        Device and store.
    """
    plan = FitPlan.of(sections[0], recipe, auxiliary=sections[1:], compute=compute)
    saved = plan.saved(folder)
    return saved or plan.fitted(plan.encoded(compute), compute=compute, folder=folder)


def predict_jointly(
    sections: Sequence[Section],
    index: int,
    recipe: Recipe,
    *,
    target: Target | None,
    folder: Path,
    job: Job,
) -> RunResult:
    """Predict one section of a joint fit, and write its folder as :func:`histosge.run` does.

    Parameters
    ----------
    sections, recipe, folder
        As given to :func:`fit_jointly`.
    index
        Which section.
    target
        Where; ``None`` takes the default.
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
        fit = fit_jointly(sections, recipe, folder=folder, compute=compute)
    task = replace(task, section=section.with_messages(*fit.messages))
    return job.finish(JointFit(fit, index), task, inputs)
