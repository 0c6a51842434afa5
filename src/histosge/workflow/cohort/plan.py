"""What a cohort is to become: its sections, how they are fitted, and the tasks that follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import histosge
from histosge._runtime.hashing import fingerprint
from histosge.errors import UsageError
from histosge.models.base import SectionsModel
from histosge.section.target import Target
from histosge.workflow.outputs import Outputs
from histosge.workflow.recipe import Recipe

from .sheet import Sample, SampleSheet
from .state import State

__all__ = ["CohortPlan", "FitKind", "LeaveOut", "StageTask"]

#: each section by itself; with the other sections of its patient; all sections by one model
FitKind: TypeAlias = Literal["alone", "patient", "joint"]
#: what is left out of the fits that measure how well a further section is predicted from its image
LeaveOut: TypeAlias = Literal["none", "section", "patient"]
_ALL = "cohort"


@dataclass(frozen=True, slots=True)
class StageTask:
    """A stage of a section: what a worker does, and does again where it was cut off.

    Parameters
    ----------
    sample, stage
        Which.
    key
        Hash of all that decides its result.
    after
        Stages that must be done before, as (sample, stage).
    """

    sample: str
    stage: str
    key: str
    after: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> tuple[str, str]:
        """Sample and stage."""
        return self.sample, self.stage


@dataclass(frozen=True, slots=True)
class CohortPlan:
    """Sections, recipe and locations of a cohort. It is sent to workers, and holds plain values.

    Parameters
    ----------
    sheet
        The sections.
    out
        Folder of all results: ``sections/SAMPLE`` as :func:`histosge.run` writes it, image features, state, summary.
    recipe
        Model, encoder, genes, seed.
    fit
        ``"alone"``: each section by itself; ``"patient"``: with the patient's other sections as auxiliary sections;
        ``"joint"``: one model of all sections, whose factors they share.
    leave_out
        ``"section"`` or ``"patient"``: predict each section from its image, with a fit to the others (to those of other
        patients), and compare with its counts. ``"none"``: do not.
    target
        Where to predict; ``None`` takes the default of :func:`histosge.run`. A row of the sheet with ``cells`` or
        ``spacing_um`` has those.
    outputs
        Further formats and figures of each section.
    device, precision, weights
        As for :class:`~histosge.workflow.compute.Compute`.

    Raises
    ------
    UsageError
        For another ``fit``, and for one by patients where no patient of the sheet has two sections.
    """

    sheet: SampleSheet
    out: Path
    recipe: Recipe = field(default_factory=Recipe)
    fit: str = "alone"
    leave_out: str = "none"
    target: Target | None = None
    outputs: Outputs = field(default_factory=Outputs)
    device: str = "cpu"
    precision: str = "auto"
    weights: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "out", Path(self.out))
        if self.fit not in get_args(FitKind):
            raise UsageError(f"Expected `fit` {', '.join(get_args(FitKind))}, got '{self.fit}'.")
        if self.fit == "patient" and not any(map(self.sheet.of_patient, self.sheet.samples)):
            raise UsageError(
                "Fits by patient need a column patient in the sheet, with two sections of a patient at least."
            )
        if self.fit == "joint" and len(self.sheet) < 2:
            raise UsageError("A joint fit needs two sections at least; the sheet has one.")
        self._refuse_leave_out()

    def _refuse_leave_out(self) -> None:
        if self.leave_out not in get_args(LeaveOut):
            raise UsageError(f"Expected `leave_out` {', '.join(get_args(LeaveOut))}, got '{self.leave_out}'.")
        # unknown options of the model are refused here too
        if self.leave_out != "none" and not self.recipe.build().uses_image:
            raise UsageError(
                f"`leave_out` predicts a section from its image, which '{self.recipe.model}' does not read. Choose a "
                "model that reads the image, or leave it out."
            )
        self.recipe.build()
        for sample in self.sheet.samples:
            if self.leave_out != "none" and not self.others(sample):
                raise UsageError(
                    f"Nothing is left to fit without the {self.leave_out} of '{sample.sample}'. Fill the column "
                    "patient with two patients at least, or leave out sections."
                )

    @property
    def state(self) -> State:
        """The outcomes of its stages."""
        return State(self.out / "state")

    @property
    def features(self) -> Path:
        """Folder of the image features of all sections."""
        return self.out / "features"

    @property
    def joint_fits(self) -> tuple[Path, ...]:
        """Folders of a joint fit: those of the sections' own fits, or one where the model has one predictor for all."""
        if not isinstance(self.recipe.build(), SectionsModel):
            return (self.out / "fit",)
        return tuple(self.folder(sample) / "fit" for sample in self.sheet.samples)

    def folder(self, sample: Sample) -> Path:
        """Return the folder of a section's results."""
        return self.out / "sections" / sample.sample

    def sample(self, name: str) -> Sample:
        """Return the sample of a name."""
        return next(sample for sample in self.sheet.samples if sample.sample == name)

    def target_of(self, sample: Sample) -> Target | None:
        """Return where to predict a section."""
        if sample.cells:
            return Target(cells=sample.cells)
        return self.target if sample.spacing_um is None else Target(spacing_um=sample.spacing_um)

    def auxiliary(self, sample: Sample) -> tuple[Sample, ...]:
        """Return the sections that are fitted beside one."""
        if self.fit == "patient":
            return self.sheet.of_patient(sample)
        if self.fit == "joint":
            return tuple(other for other in self.sheet.samples if other != sample)
        return ()

    def others(self, sample: Sample) -> tuple[Sample, ...]:
        """Return the sections that are fitted when one is left out."""
        others = tuple(other for other in self.sheet.samples if other != sample)
        if self.leave_out == "section":
            return others
        return tuple(other for other in others if other.patient and other.patient != sample.patient)

    def checks(self, samples: Sequence[Sample]) -> Iterator[StageTask]:
        """Yield the checks of ``samples`` and of the sections fitted with them: read, aligned, cells on the image."""
        needed = dict.fromkeys(other for sample in samples for other in (sample, *self._fitted_with(sample)))
        for sample in needed:
            yield StageTask(sample.sample, "check", self._key("check", [self._stamp(sample)]))

    def _fitted_with(self, sample: Sample) -> tuple[Sample, ...]:
        return self.auxiliary(sample) if self.leave_out == "none" else self.sheet.samples

    def tasks(self, samples: Sequence[Sample]) -> Iterator[StageTask]:
        """Yield the stages of ``samples``, and those that they need of others."""
        stamps = {sample.sample: self._stamp(sample) for sample in self.sheet.samples}
        needed = dict.fromkeys(other for sample in samples for other in (sample, *self._fitted_with(sample)))
        for sample in needed:
            yield StageTask(sample.sample, "encode", self._key("encode", [stamps[sample.sample]]))
        everywhere = [(sample.sample, "encode") for sample in self.sheet.samples]
        if self.fit == "joint":
            yield StageTask(_ALL, "fit", self._key("fit", list(stamps.values())), tuple(everywhere))
        for sample in samples:
            group = (sample, *self.auxiliary(sample))
            after = tuple((other.sample, "encode") for other in group)
            after = ((sample.sample, "encode"), (_ALL, "fit")) if self.fit == "joint" else after
            key = self._key("predict", [stamps[other.sample] for other in group])
            yield StageTask(sample.sample, "predict", key, after)
            if self.leave_out != "none":
                group = (sample, *self.others(sample))
                key = self._key("left_out", [stamps[other.sample] for other in group])
                yield StageTask(
                    sample.sample, "left_out", key, tuple((other.sample, "encode") for other in group)
                )

    def _stamp(self, sample: Sample) -> dict[str, Any]:
        """Return what identifies a section before it is read: its row, and size and time of its files."""
        paths = [Path(text) for text in (sample.path, sample.image, sample.cells) if text]
        files = sorted(file for path in paths for file in _files(path))
        stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        row = asdict(sample)
        if sample.spacing_um is None:
            # a column that is newer than the keys of many cohorts
            del row["spacing_um"]
        return {"row": row, "files": stats}

    def _key(self, stage: str, stamps: Sequence[Mapping[str, Any]]) -> str:
        content = {
            "stage": stage,
            "version": histosge.__version__,
            "recipe": self.recipe.as_dict(),
            "target": None if self.target is None else {k: str(v) for k, v in asdict(self.target).items()},
            "outputs": asdict(self.outputs) if stage == "predict" else None,
            "fit": self.leave_out if stage == "left_out" else self.fit,
            "device": self.device,
            "precision": self.precision,
            "sections": list(stamps),
        }
        return fingerprint(content)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else []
