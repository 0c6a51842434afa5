"""The stages that a run and its single steps share: locate, encode, fit, predict, write."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from histosge._runtime.messages import Message, emit
from histosge.errors import HistosgeWarning, UsageError
from histosge.io.unmeasured_file import NAME as UNMEASURED
from histosge.models.base import FactoredPredictor
from histosge.programs.alignment import joined_programs
from histosge.programs.gene_programs import Programs
from histosge.section.inputs import Inputs
from histosge.section.locations import at_spots
from histosge.section.section import Section
from histosge.section.target import MANY_SPOTS, Target, default_target, locate, tissue_of

from .compute import Compute
from .encode import encode
from .fit import Fit, FitPlan
from .leave_one_section_out import section_accuracy
from .output_folder import refuse_overwriting, remove_outputs_of_earlier_runs
from .outputs import Outputs, write_further, write_prediction
from .predict import Fitted
from .provenance import provenance_of
from .result import RunResult
from .saved_fit import read_accuracy, write_accuracy
from .section_accuracy import SectionAccuracy
from .section_prediction import SectionPrediction, Task, predict_section
from .stages import Stages
from .transfer import sampled_at, transfer, with_fitted_genes
from .unmeasured_genes import UnmeasuredGenes, refuse_unmeasured, unmeasured_genes
from .written_genes import Named, named_genes

__all__ = ["Job", "SectionInputs", "encode_task"]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """The stages that a run and its single steps share, and the folder they write to.

    Parameters
    ----------
    out
        Folder for the results; the fit is kept in ``out/fit``.
    compute
        Device, and a store of image features.
    stages
        Clock and progress.
    outputs
        What to write.
    programs
        Gene programs, through which unmeasured genes are predicted.
    """

    out: Path
    compute: Compute
    stages: Stages
    outputs: Outputs
    programs: Sequence[Programs] = ()

    @classmethod
    def of(cls, out: str | Path, stages: Stages, compute: Compute, outputs: Outputs = Outputs()) -> Job:
        """Return a job that keeps image features in ``out``, unless ``compute`` has a store of its own."""
        return cls(Path(out), compute.with_store(Path(out) / "features"), stages, outputs)

    def refuse_overwriting(self, section: Section, target: Target | None, *further: Section) -> None:
        """Refuse a folder with inputs or files of others that this job would overwrite."""
        refuse_overwriting(self.out, self.outputs, sections=(section, *further), target=target)

    @property
    def fits(self) -> Path:
        """Folder of fits."""
        return self.out / "fit"

    @contextmanager
    def stage(self, name: str) -> Iterator[Compute]:
        """Time the ``with`` block as stage ``name``, and yield the compute options that report its progress."""
        with self.stages(name) as progress:
            yield replace(self.compute, progress=progress)

    def locate(self, section: Section, target: Target | None, *, pitch_um: float | None = None) -> Task:
        """Find tissue and locations; a section without counts is sampled at the pitch of a fitted one."""
        with self.stage("locate"):
            target = default_target(section) if target is None else target
            # found before sampling: the tissue in an image alone does not depend on where it is sampled
            mask = tissue_of(section)
            if pitch_um is not None:
                section = sampled_at(section, pitch_um, mask=mask)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", HistosgeWarning)
                locations = locate(section, target, mask)
            # kept with the section, so that every interface shows them and `run.json` holds them
            messages = [
                Message("warning", str(warning.message))
                for warning in caught
                if issubclass(warning.category, HistosgeWarning)
            ]
            messages += _many_spots(section, target)
            emit(messages)
            # before hours of fitting, not after
            self.outputs.refuse_locations(section, locations)
            return Task(section.with_messages(*messages), target, mask, locations)

    def refuse_unpredicted(self, fitted: FitPlan | Fit, section: Section) -> None:
        """Refuse genes to show or to write that are not predicted, before anything is computed or written."""
        self._named(fitted, section)
        if self.outputs.unmeasured is None:
            return
        if not self.programs:
            raise UsageError(
                "Expected `programs` that have the `unmeasured` genes, got none. Give gene programs."
            )
        refuse_unmeasured(
            fitted.recipe,
            fitted.model,
            section,
            fitted.panel,
            programs=joined_programs(self.programs),
            genes=self.outputs.unmeasured_names,
        )

    def _unmeasured(self, fitted: Fitted, prediction: SectionPrediction) -> UnmeasuredGenes | None:
        """Predict unmeasured genes where they are asked for."""
        if self.outputs.unmeasured is None or not isinstance(fitted, Fit) or prediction.factored is None:
            return None
        section, programs = prediction.task.section, joined_programs(self.programs)
        genes = self.outputs.unmeasured_names
        return unmeasured_genes(fitted, section, prediction.factored, programs, genes=genes)

    def _named(self, fitted: Fitted | FitPlan, section: Section) -> Named:
        return named_genes(
            self.outputs.genes, self.outputs.written, section=section, panel=fitted.panel, model=fitted.model
        )

    def spots(self, plan: FitPlan, compute: Compute) -> Inputs | None:
        """Return the inputs of all spots to fit; ``None`` where the fit is saved already."""
        return None if plan.is_saved(self.fits) else plan.encoded(compute)

    def fit(self, plan: FitPlan, spots: Inputs | None) -> Fit:
        """Load the saved fit, or fit the spots."""
        with self.stage("fit") as compute:
            # the spots are missing where the stage before saw a saved fit, which may have been deleted since
            saved = plan.saved(self.fits) if spots is None else None
            if saved is not None:
                return saved
            spots = plan.encoded(compute) if spots is None else spots
            return plan.fitted(spots, compute=compute, folder=self.fits)

    def accuracy(self, fit: Fit, sections: Sequence[Section]) -> SectionAccuracy | None:
        """Return the accuracy in sections left out; only of models by factors, which are fitted in seconds."""
        with self.stage("leave_one_section_out") as compute:
            if not isinstance(fit.predictor, FactoredPredictor):
                return None
            if (kept := read_accuracy(self.fits, fit.key)) is not None:
                return kept
            accuracy = section_accuracy(sections, fit, compute=compute)
            if accuracy is not None:
                write_accuracy(accuracy, self.fits, fit.key)
            return accuracy

    def finish(self, fitted: Fitted, task: Task, inputs: Inputs) -> RunResult:
        """Predict the locations of a task, whose ``inputs`` are given, and write everything."""
        provenance = provenance_of(
            task.section, fitted, target=task.target, locations=task.locations, compute=self.compute
        )
        # a prediction that does not fit into memory is written while it is computed
        with self.stage("predict"):
            prediction = predict_section(
                fitted,
                task,
                inputs,
                named=self._named(fitted, task.section),
                write=self.outputs.written,
                provenance=provenance,
                compute=self.compute,
            )
            # refusals come before anything is written
            unmeasured = self._unmeasured(fitted, prediction)
            shown, written = write_prediction(prediction, self.out)
        with self.stage("write"):
            if unmeasured is not None:
                prediction = prediction.with_messages(unmeasured.message)
                if len(unmeasured.prediction.genes):
                    written.append(unmeasured.write(self.out / UNMEASURED, task.section))
            written += write_further(prediction, shown, self.outputs, out=self.out)
            written += remove_outputs_of_earlier_runs(self.out, prediction.provenance, written)
        return RunResult.of(prediction, written, out=self.out, stages=self.stages, unmeasured=unmeasured)

    def finish_transfer(
        self, fit: Fit, task: Task, inputs: SectionInputs, *, accuracy: SectionAccuracy | None
    ) -> RunResult:
        """Predict a section without counts with a fit to other sections, and write everything."""
        task = replace(task, section=with_fitted_genes(task.section, fit))
        return self.finish(transfer(fit, inputs.spots, accuracy=accuracy), task, inputs.locations)


@dataclass(frozen=True, slots=True, eq=False)
class SectionInputs:
    """Inputs of a section without counts.

    Parameters
    ----------
    spots
        Of locations all over the section, which show its staining.
    locations
        Of the locations to predict.
    """

    spots: Inputs
    locations: Inputs

    @classmethod
    def of(cls, task: Task, fitted: FitPlan | Fit, compute: Compute) -> SectionInputs:
        """Encode a section."""
        spots = encode_task(replace(task, locations=at_spots(task.section)), fitted, compute)
        return cls(spots, encode_task(task, fitted, compute))


def encode_task(task: Task, fitted: FitPlan | Fit, compute: Compute, spots: Inputs | None = None) -> Inputs:
    """Return the inputs of the locations of a task; ``spots`` are those of its section, where they are known."""
    needs, encoder = fitted.model.needs, fitted.encoder
    return encode(task.section, task.locations, needs=needs, encoder=encoder, compute=compute, spots=spots)


def _many_spots(section: Section, target: Target) -> tuple[Message, ...]:
    """Return what is said where the spots themselves are predicted because they are many."""
    if len(section) <= MANY_SPOTS or target.upsample != 1:
        return ()
    text = (
        f"Predicted at the {len(section)} spots themselves, the default for more than {MANY_SPOTS}; `upsample` 4 asks "
        f"for {4 * len(section)} locations."
    )
    return (Message("info", text),)
