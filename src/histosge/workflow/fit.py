"""Fit the model of a recipe to a section."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from histosge._runtime.messages import Message, emit
from histosge._runtime.summary import as_text, plural
from histosge._runtime.types import Array
from histosge.encoders.base import Encoder
from histosge.errors import UsageError
from histosge.models import saving
from histosge.models.base import FactoredPredictor, Model, Predictor
from histosge.models.gene_order import in_gene_order
from histosge.prediction.factored import Basis
from histosge.prediction.total_counts import TotalCounts
from histosge.prediction.unfitted_genes import extend
from histosge.programs.alignment import AlignedPrograms, ProgramsLike, ProgramsSummary, programs_of
from histosge.section.expression import depth
from histosge.section.genes import GenePanel
from histosge.section.inputs import Inputs
from histosge.section.multi_section import AuxiliarySection, SectionGroup
from histosge.section.section import Section

from .compute import Compute
from .encode import encode_spots, encoder_for, encoder_messages
from .fit_metadata import FitMetadata, FittedSection
from .memory import memory_message
from .recipe import Recipe

__all__ = ["Fit", "FitPlan", "aligned_programs", "fit"]

# fewer named genes are hardly meant to be all that a fit rests on
_FEW_GENES = 100


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A model fitted to a section, with all that is needed to predict that section again.

    Parameters
    ----------
    metadata
        Recipe and sections.
    model, predictor
        The configured model and what fitting it returned.
    encoder
        Computes the image features it reads; ``None`` for models that read none.
    panel
        The genes it predicts.
    key
        Hash of recipe, sections, gene programs and encoder: equal keys, equal fits.
    programs
        The gene programs that it was given; ``None`` also for a fit that was loaded, whose metadata describes them.
    """

    metadata: FitMetadata
    model: Model
    predictor: Predictor
    encoder: Encoder | None
    panel: GenePanel
    key: str
    programs: AlignedPrograms | None = None

    def __repr__(self) -> str:
        values = {
            "section": f"'{self.metadata.section.name}'",
            "model": self.recipe.model,
            "preset": self.recipe.variant,
            "encoder": "" if self.encoder is None else self.encoder.card.name,
            "genes": plural(len(self.genes), "gene"),
            "auxiliary": plural(len(self.auxiliary), "auxiliary section") if self.auxiliary else "",
        }
        return as_text("Fit", values)

    @property
    def recipe(self) -> Recipe:
        """What was fitted."""
        return self.metadata.recipe

    @property
    def auxiliary(self) -> tuple[AuxiliarySection, ...]:
        """Further sections of the fit."""
        return self.metadata.auxiliary

    @property
    def programs_summary(self) -> ProgramsSummary | None:
        """Gene programs of the fit."""
        return self.metadata.programs

    @property
    def genes(self) -> Array:
        """Names of the genes it predicts."""
        return self.predictor.genes

    @property
    def basis(self) -> str:
        """What its predictions rest on, as text."""
        if self.metadata.joint:
            return f"spots measured in this section and in {len(self.auxiliary)} others, fitted by one model"
        return "spots measured in this section"

    @property
    def accuracy(self) -> None:
        """Accuracy in sections left out: none is needed, spots left out of the fit give that of the section itself."""
        return None

    @property
    def messages(self) -> tuple[Message, ...]:
        """Messages about the choice of genes, about features of a file, and about gene programs."""
        return (
            *self.panel.messages,
            *encoder_messages(self.encoder),
            *(() if self.programs is None else self.programs.messages),
            *self.unused,
            *self.few_genes,
        )

    @property
    def few_genes(self) -> tuple[Message, ...]:
        """A message where few named genes are fitted: factors are learnt from these alone."""
        named = not self.panel.spec.startswith("hvg:") and self.panel.spec != "all"
        more = self.metadata.section.genes >= 2 * len(self.panel)
        if not (named and more and self.model.predicts_factors and len(self.panel) < _FEW_GENES):
            return ()
        text = (
            f"`genes` decides what is fitted: the factors, and all predictions, rest on {len(self.panel)} genes. To "
            "write certain genes of a fit to many, name them in `write_genes`."
        )
        return (Message("info", text),)

    @property
    def unused(self) -> tuple[Message, ...]:
        """A warning where the model made no use of gene programs: its summary does not name them."""
        if self.programs is None or any("program" in name for name in self.predictor.summary()):
            return ()
        text = f"Not used: gene programs. The model '{self.recipe.model}' does not read them."
        return (Message("warning", text),)

    def inputs(self, inputs: Inputs) -> Inputs:
        """Return the inputs of locations in the fitted section, as its predictor takes them."""
        return inputs

    def total_counts(self, section: Section) -> TotalCounts | None:
        """Return how total counts follow from factor scores; ``None`` for models without factors."""
        if not isinstance(self.predictor, FactoredPredictor):
            return None
        score, score_sd = (part[: len(section)] for part in self.predictor.left_out_scores())
        return TotalCounts.of(score, depth(section.counts), score_sd=score_sd)

    def completed(self, basis: Basis, section: Section) -> Basis:
        """Return the basis with every gene counted in the fitted section, those outside the panel too."""
        if not isinstance(self.predictor, FactoredPredictor):
            return basis
        # spots of auxiliary sections come after those of the section
        score, score_sd = (part[: len(section)] for part in self.predictor.left_out_scores())
        return extend(
            basis,
            score,
            section.counts,
            section.genes,
            score_sd=score_sd,
            at_mean_depth=self.recipe.depth_adjusted,
        )


@dataclass(frozen=True, slots=True, eq=False)
class FitPlan:
    """A fit that is decided and not yet computed.

    Parameters
    ----------
    recipe
        What to fit.
    sections
        The section to predict later, and the auxiliary ones.
    model
        The configured model.
    encoder
        Computes the image features it reads; ``None`` for models that read none.
    panel
        The genes to fit.
    metadata, key
        What identifies the fit.
    programs
        Gene programs over the genes of the panel, in the order of their names; ``None``: there are none.
    """

    recipe: Recipe
    sections: SectionGroup
    model: Model
    encoder: Encoder | None
    panel: GenePanel
    metadata: FitMetadata
    key: str
    programs: AlignedPrograms | None = None

    @classmethod
    def of(
        cls,
        section: Section,
        recipe: Recipe,
        *,
        auxiliary: Sequence[Section] = (),
        programs: ProgramsLike | Sequence[ProgramsLike] = (),
        compute: Compute = Compute(),
    ) -> FitPlan:
        """Choose genes and encoder; the arguments and errors are those of :func:`fit`."""
        model = recipe.build()
        encoder = encoder_for(section, recipe, needs=model.needs, compute=compute)
        sections = SectionGroup.of(section, auxiliary)
        panel = sections.choose(recipe.genes_text)
        emit(panel.messages)
        target = FittedSection.of(section, panel)
        aligned = aligned_programs(programs, section, panel)
        metadata = FitMetadata(
            recipe,
            target,
            sections.auxiliary_summary(),
            panel.missing,
            None if aligned is None else aligned.summary,
        )
        _refuse_repeated(metadata)
        return cls(
            recipe=recipe,
            sections=sections,
            model=model,
            encoder=encoder,
            panel=panel,
            metadata=metadata,
            key=metadata.key(encoder),
            programs=aligned,
        )

    @property
    def messages(self) -> tuple[Message, ...]:
        """Messages about the choice of genes, and about gene programs."""
        return (*self.panel.messages, *(() if self.programs is None else self.programs.messages))

    def encoded(self, compute: Compute) -> Inputs:
        """Return the inputs of all spots to fit.

        Raises
        ------
        UsageError
            Where the fit needs more memory than there is.
        """
        adjusted = self.recipe.depth_adjusted
        emit(memory_message(self.model, len(self.sections), len(self.panel.names), depth_adjusted=adjusted))
        return encode_spots(
            self.sections.sections, needs=self.model.needs, encoder=self.encoder, compute=compute
        )

    def is_saved(self, folder: Path) -> bool:
        """Whether ``folder`` holds this fit already."""
        return saving.is_saved(folder / self.key)

    def saved(self, folder: Path) -> Fit | None:
        """Return the fit that ``folder`` holds already, as its latest one; ``None`` where it holds none."""
        path = folder / self.key
        if not saving.is_saved(path):
            return None
        # `predict` takes the fit that was asked for last
        self.metadata.write(folder)
        return self._fit(*saving.load(path))

    def fitted(
        self, inputs: Inputs, *, compute: Compute, folder: Path | None = None, alike: bool = False
    ) -> Fit:
        """Fit the model to all spots, whose ``inputs`` are those of :meth:`encoded`, and keep it in ``folder``.

        Where none of the sections is to be predicted, they are fitted ``alike``.
        """
        path = None if folder is None else folder / self.key
        checkpoint = None if path is None else path.with_name(f"{path.name}.checkpoint")
        adjusted = self.recipe.depth_adjusted
        samples = self.sections.gather(
            self.panel.by_name(),
            inputs,
            depth_adjusted=adjusted,
            sparse_expression=self.model.reads_sparse(len(self.sections)),
        )
        samples = replace(samples if self.programs is None else self.programs.joined(samples), alike=alike)
        emit(compute.unused_workers(self.model, len(self.sections)))
        with compute.workers(folder) as workers:
            runtime = replace(compute.runtime(checkpoint=checkpoint), workers=workers)
            fitted = self.model.fit(samples, seed=self.recipe.seed, runtime=runtime)
        predictor = in_gene_order(fitted, self.panel.names)
        if path is not None and checkpoint is not None:
            saving.save(path, self.model, predictor)
            self.metadata.write(path.parent)
            # the fit is complete: its checkpoint is of no further use
            shutil.rmtree(checkpoint, ignore_errors=True)
        return self._fit(self.model, predictor)

    def _fit(self, model: Model, predictor: Predictor) -> Fit:
        fit = Fit(
            self.metadata,
            model,
            predictor,
            encoder=self.encoder,
            panel=self.panel,
            key=self.key,
            programs=self.programs,
        )
        emit((*fit.unused, *fit.few_genes))
        return fit


def fit(
    section: Section,
    recipe: Recipe = Recipe(),
    *,
    auxiliary: Sequence[Section] = (),
    programs: ProgramsLike | Sequence[ProgramsLike] = (),
    compute: Compute = Compute(),
    folder: str | Path | None = None,
) -> Fit:
    """Fit the recipe's model to all spots of a section, and of auxiliary sections.

    Parameters
    ----------
    section
        The section to predict later.
    recipe
        What to fit.
    auxiliary
        Sections of similar tissue, fitted too. Genes are chosen on ``section``, among those that all sections have;
        one encoder computes the image features of all.
    programs
        Gene programs of like tissue: files of them, or data that they are built from; see
        :func:`histosge.programs.build`.
    compute
        Device and store.
    folder
        Where to keep the fit. A fit of the same recipe to the same data in it is loaded instead of repeated, and an
        interrupted one resumes.

    Raises
    ------
    UsageError
        Where the sections have no gene in common, one of them has no image or no counts, or one is given twice.

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=8, rows=8, genes=12).section
    >>> fit = hs.fit(section, hs.Recipe(genes="all"))
    >>> hs.predict(fit, section, hs.upsampled(section, 4)).mean.shape == (4 * len(section), 12)
    True
    """
    plan = FitPlan.of(section, recipe, auxiliary=auxiliary, programs=programs, compute=compute)
    folder = None if folder is None else Path(folder)
    if folder is not None and (saved := plan.saved(folder)) is not None:
        return saved
    return plan.fitted(plan.encoded(compute), compute=compute, folder=folder)


def aligned_programs(
    programs: ProgramsLike | Sequence[ProgramsLike], section: Section, panel: GenePanel
) -> AlignedPrograms | None:
    """Return gene programs over a panel, in the order of the names of its genes; ``None`` where none are given.

    Raises
    ------
    UsageError, DataError
        When they have no gene of the panel, are of another species, or cannot be read.
    """
    banks = programs_of(programs)
    if not banks:
        return None
    panel = panel.by_name()
    ids = section.gene_ids[panel.columns]
    aligned = AlignedPrograms.of(banks, panel.names, ids, where=f"section '{section.name}'")
    emit(aligned.messages)
    return aligned


def _refuse_repeated(metadata: FitMetadata) -> None:
    """Refuse a section that is given twice: its spots would count twice."""
    others = [other.fingerprint for other in metadata.auxiliary]
    if len({metadata.section.fingerprint, *others}) <= len(others):
        raise UsageError(
            f"A section is given twice among '{metadata.section.name}' and its auxiliary sections. Give each once."
        )
