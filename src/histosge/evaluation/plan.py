"""The plan of a benchmark: sections × splits × encoders × models × seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from histosge._runtime.names import refuse_repeats
from histosge.encoders import ENCODERS
from histosge.encoders.joined import names_of
from histosge.errors import UsageError
from histosge.programs.alignment import ProgramsLike, programs_of
from histosge.section.genes import GeneChoice, Genes
from histosge.section.section import Section
from histosge.section.splits import kind_of
from histosge.workflow.recipe import Recipe

from .baselines import BASELINES, REFERENCE

__all__ = ["AUXILIARY_SUFFIX", "WHOLE_SECTION", "Plan", "SectionSpec", "Trial", "own_widths"]

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
        Encoders of the models that read image features; joined ones as ``texture+uni``.
    patch_um
        Width of their patches in µm, of all or by the name of the encoder; ``None``: their own.
    genes, hvg_scope
        See :class:`histosge.evaluation.study.Study`.
    baselines
        Whether all baselines run; ``False`` leaves kriging alone, without which there is no skill score.
    description
        What a reader of the tables must know, such as "20 epochs in place of 1000".
    programs
        Gene programs that every fit is given: files of them, or data that they are built from; as for
        :func:`histosge.fit`.
    auxiliary
        Whether every split within a section gets the suffix ``+auxiliary``.
    depth_adjusted
        Whether the models are fitted at the mean depth, as ``depth_adjusted`` of a recipe says. The baselines are not,
        and every prediction is compared with log1p(CP10k), without intervals.

    Raises
    ------
    UsageError
        For an empty list, a split, seed or encoder that is named twice, an unknown model, preset, option or encoder, or
        a split that no section can have.

    Examples
    --------
    >>> plan = Plan(("her2st/C2",), ("cokriging", "histosge:published"), seeds=(0, 1), baselines=False)
    >>> [trial.recipe.model for trial in plan.trials()]
    ['cokriging', 'histosge', 'kriging', 'cokriging', 'histosge', 'kriging']
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
    patch_um: float | Mapping[str, float] | None = None
    depth_adjusted: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "genes", GeneChoice.text(self.genes))
        object.__setattr__(self, "programs", _listed(self.programs))
        for name in ("sections", "splits", "seeds", "encoders"):
            if not getattr(self, name):
                raise UsageError(f"A plan needs at least one of its {name}, got none.")
        if not (self.baselines or self.models):
            raise UsageError("A plan needs models, or its baselines; got neither.")
        for recipe in self.recipes:
            recipe.build()
        self._refuse_repeats()
        # also where no model of the plan reads features: an unknown name is a slip
        for name in (name for encoder in self.encoders for name in names_of(encoder)):
            if name not in ENCODERS:
                # the registry names what is like it
                ENCODERS[name]
        known = {name for encoder in self.encoders for name in (encoder, *names_of(encoder))}
        if isinstance(self.patch_um, Mapping) and (unknown := set(self.patch_um) - known):
            raise UsageError(
                f"`patch_um` names '{min(unknown)}', which is none of the encoders: {', '.join(self.encoders)}."
            )
        for split in self.splits:
            if split.removesuffix(AUXILIARY_SUFFIX) in WHOLE_SECTION and split.endswith(AUXILIARY_SUFFIX):
                raise UsageError(
                    f"The split '{split}' predicts a whole section and fits the others already. Remove "
                    f"'{AUXILIARY_SUFFIX}'."
                )

    def _refuse_repeats(self) -> None:
        """Refuse entries named twice: their scores could not be distinguished."""
        refuse_repeats(self.seeds, "seeds")
        refuse_repeats(self.encoders, "encoders", same=names_of)
        # of `auxiliary` a split and the same one with its suffix are one
        refuse_repeats(self.split_names, "splits", same=_division)
        refuse_repeats(self.splits, "splits", same=_division)

    @property
    def specs(self) -> tuple[SectionSpec, ...]:
        """The sections."""
        return tuple(map(_spec, self.sections))

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """The baselines and the models, each once; kriging always."""
        # baselines first, so that a model that is also a baseline keeps its position
        unique: dict[tuple[str, str], Recipe] = {}
        # kriging runs in any case: without it there is no skill score
        for recipe in (*(BASELINES if self.baselines else ()), *self._models(), REFERENCE):
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
                            yield Trial(section, split, self._complete(recipe, encoder, seed))

    def _models(self) -> Iterator[Recipe]:
        for recipe in map(_recipe, self.models):
            yield replace(recipe, depth_adjusted=True) if self.depth_adjusted else recipe

    def _complete(self, recipe: Recipe, encoder: str, seed: int) -> Recipe:
        """Return a recipe with what the plan decides."""
        patch_um = recipe.patch_um if self.patch_um is None else own_widths(self.patch_um, encoder)
        return replace(recipe, encoder=encoder, patch_um=patch_um, genes=str(self.genes), seed=seed)


def own_widths(
    patch_um: float | Mapping[str, float] | None, encoder: str
) -> float | Mapping[str, float] | None:
    """Return those of the widths that belong to an encoder, or to those joined in it.

    Examples
    --------
    >>> own_widths({"texture": 80.0, "uni": 112.0}, "texture")
    {'texture': 80.0}
    """
    if not isinstance(patch_um, Mapping):
        return patch_um
    own = (encoder, *names_of(encoder))
    return {name: width for name, width in patch_um.items() if name in own} or None


def _division(split: str) -> object:
    """Return what is equal for splits that divide a section alike."""
    within = split.removesuffix(AUXILIARY_SUFFIX)
    return split if within in WHOLE_SECTION else (kind_of(within), within != split)


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
