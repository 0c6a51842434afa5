"""The plan of a benchmark: sections × splits × encoders × models × seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from histosge.errors import UsageError
from histosge.programs.alignment import ProgramsLike, programs_of
from histosge.section.genes import GeneChoice, Genes
from histosge.section.section import Section
from histosge.workflow.recipe import Recipe

from .baselines import BASELINES

__all__ = ["AUXILIARY_SUFFIX", "WHOLE_SECTION", "Plan", "SectionSpec", "Trial"]

# after the name of a split within a section: all other sections of the plan are fitted too
AUXILIARY_SUFFIX = "+auxiliary"
# splits that predict a whole section from other sections
WHOLE_SECTION = ("sections", "patients")


@dataclass(frozen=True, slots=True)
class SectionSpec:
    """A section of a plan.

    Parameters
    ----------
    source
        A path, as for :func:`histosge.read`, or a section in memory.
    name
        Name in tables; empty takes the section's own.
    image, mpp
        As for :func:`histosge.read`; for paths only.
    patient
        The patient whom the section comes from; the split ``patients`` fits sections of other patients only.
    """

    source: Path | Section
    name: str = ""
    image: Path | None = None
    mpp: float | None = None
    patient: str = ""

    @property
    def label(self) -> str:
        """The name of the section in messages."""
        return self.name or self.source.name or str(self.source)


@dataclass(frozen=True, slots=True)
class Trial:
    """One fit of a benchmark.

    Parameters
    ----------
    section
        Position of the section in the plan.
    split
        Name of the split, as in tables.
    recipe
        Model, encoder, genes and seed.
    """

    section: int
    split: str
    recipe: Recipe

    @property
    def encoder(self) -> str:
        """The encoder; empty for models that read no image features."""
        return self.recipe.encoder if self.recipe.build().needs.features else ""

    @property
    def division(self) -> tuple[int, str, int]:
        """What decides the training and test spots: section, split and seed."""
        return self.section, self.split, self.recipe.seed


@dataclass(frozen=True, slots=True)
class Plan:
    """Sections, models, splits, seeds and encoders to combine.

    Parameters
    ----------
    sections
        Sections on disk or in memory; a path or a section stands for its :class:`SectionSpec`.
    models
        Recipes beside the baselines. Their encoder, genes and seed are replaced by those of the plan.
    splits
        ``random:0.5``, ``published``, ``blocks:6`` (width in pitches; ``blocks:6:2`` sets the guard band too),
        ``sublattice:3``, ``sections``, ``patients``. A split within a section with the suffix ``+auxiliary`` fits all
        other sections of the plan too.
    seeds
        Seeds of split and fit.
    encoders
        Encoders of the models that read image features.
    genes, hvg_scope
        See :class:`histosge.evaluation.study.Study`.
    baselines
        Whether the baselines run.
    description
        What a reader of the tables must know, such as "20 epochs in place of 1000".
    programs
        Gene programs that every fit is given: files of them, or data that they are built from; as for
        :func:`histosge.fit`.
    auxiliary
        Whether every split within a section gets the suffix ``+auxiliary``.

    Raises
    ------
    UsageError
        For an empty list, an unknown model, preset or option, or a split that no section can have.

    Examples
    --------
    >>> plan = Plan(("her2st/C2",), ("cokriging", "histosge:published"), seeds=(0, 1), baselines=False)
    >>> [trial.recipe.model for trial in plan.trials()]
    ['cokriging', 'histosge', 'cokriging', 'histosge']
    """

    sections: Sequence[SectionSpec | Section | Path | str]
    models: Sequence[Recipe | str] = ()
    splits: tuple[str, ...] = ("random:0.5",)
    seeds: tuple[int, ...] = (0, 1, 2)
    encoders: tuple[str, ...] = ("texture",)
    genes: Genes = "hvg:1000"
    hvg_scope: Literal["training", "all"] = "training"
    baselines: bool = True
    description: str = ""
    auxiliary: bool = False
    programs: Sequence[ProgramsLike] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "genes", GeneChoice.text(self.genes))
        object.__setattr__(self, "programs", _listed(self.programs))
        for name in ("sections", "splits", "seeds", "encoders"):
            if not getattr(self, name):
                raise UsageError(f"A plan needs at least one of its {name}, got none.")
        if not self.recipes:
            raise UsageError("A plan needs models, or its baselines; got neither.")
        for recipe in self.recipes:
            recipe.build()
        for split in self.splits:
            if split.removesuffix(AUXILIARY_SUFFIX) in WHOLE_SECTION and split.endswith(AUXILIARY_SUFFIX):
                raise UsageError(
                    f"The split '{split}' predicts a whole section and fits the others already. Remove "
                    f"'{AUXILIARY_SUFFIX}'."
                )

    @property
    def specs(self) -> tuple[SectionSpec, ...]:
        """The sections."""
        return tuple(map(_spec, self.sections))

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """The baselines and the models, each once."""
        # baselines first, so that a model that is also a baseline keeps its position
        unique: dict[tuple[str, str], Recipe] = {}
        for recipe in (*(BASELINES if self.baselines else ()), *map(_recipe, self.models)):
            unique.setdefault((recipe.model, recipe.variant), recipe)
        return tuple(unique.values())

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits, each once, as they are named in tables."""
        if not self.auxiliary:
            return self.splits
        named = (
            split if split in WHOLE_SECTION else f"{split.removesuffix(AUXILIARY_SUFFIX)}{AUXILIARY_SUFFIX}"
            for split in self.splits
        )
        return tuple(dict.fromkeys(named))

    def trials(self) -> Iterator[Trial]:
        """Yield every fit, grouped by section, split and seed; models without image features run once."""
        for section in range(len(self.sections)):
            for split in self.split_names:
                for seed in self.seeds:
                    for recipe in self.recipes:
                        encoders = self.encoders if recipe.build().needs.features else (recipe.encoder,)
                        for encoder in encoders:
                            complete = replace(recipe, encoder=encoder, genes=str(self.genes), seed=seed)
                            yield Trial(section, split, complete)


def _listed(programs: ProgramsLike | Sequence[ProgramsLike]) -> tuple[ProgramsLike, ...]:
    """Return gene programs as paths, or built: a cache compares plans, which data in memory do not allow."""
    items = list(programs) if isinstance(programs, (list, tuple)) else [programs]
    paths = tuple(Path(item) for item in items if isinstance(item, (str, Path)))
    return (*paths, *programs_of([item for item in items if not isinstance(item, (str, Path))]))


def _spec(section: SectionSpec | Section | Path | str) -> SectionSpec:
    if isinstance(section, SectionSpec):
        return section
    return SectionSpec(Path(section) if isinstance(section, str) else section)


def _recipe(model: Recipe | str) -> Recipe:
    return Recipe.parse(model) if isinstance(model, str) else model
