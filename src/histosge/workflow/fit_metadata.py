"""What identifies a fit: recipe and sections, kept in its folder as one small file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from histosge._runtime.hashing import fingerprint
from histosge._runtime.records import read_record, write_record
from histosge._runtime.types import Array
from histosge.encoders.base import Encoder
from histosge.errors import UsageError
from histosge.programs.alignment import ProgramsSummary
from histosge.section.genes import GenePanel
from histosge.section.multi_section import AuxiliarySection
from histosge.section.section import Section

from .recipe import Recipe

__all__ = ["FitMetadata", "FittedSection", "fit_key"]

_NAME = "fit.json"


@dataclass(frozen=True, slots=True)
class FittedSection:
    """The first section of a fit, without its counts and its image.

    Parameters
    ----------
    name, fingerprint
        Which section.
    spots, genes
        How many it has.
    mpp
        µm per full-resolution pixel.
    pitch_um
        Distance of neighbouring spots.
    gene_ids
        Identifiers of the fitted genes, in the order of the panel.
    """

    name: str
    fingerprint: str
    spots: int
    genes: int
    mpp: float
    pitch_um: float
    gene_ids: tuple[str, ...]

    @classmethod
    def of(cls, section: Section, panel: GenePanel) -> FittedSection:
        """Return the description of a section whose ``panel`` is fitted."""
        return cls(
            name=section.name,
            fingerprint=section.fingerprint,
            spots=len(section),
            genes=len(section.genes),
            mpp=section.mpp,
            pitch_um=section.pitch_um,
            gene_ids=tuple(str(name) for name in section.gene_ids[panel.columns]),
        )

    def as_auxiliary(self) -> AuxiliarySection:
        """Return its description as one of the sections that another one is predicted from."""
        # all fitted genes are predicted there, so none is missing and none is left over
        return AuxiliarySection(
            self.name, self.fingerprint, spots=self.spots, genes=len(self.gene_ids), missing=0, further=0
        )

    @property
    def ids(self) -> Array:
        """Identifiers of the fitted genes, as an array."""
        return np.array(self.gene_ids, dtype=str)


class _RecipeContent(msgspec.Struct, forbid_unknown_fields=True):
    """Schema of a recipe in a file."""

    model: str
    preset: str | None
    options: dict[str, Any]
    encoder: str
    patch_um: float | dict[str, float] | None
    genes: str
    seed: int
    depth_adjusted: bool = False


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    """Schema of the file."""

    recipe: _RecipeContent
    section: FittedSection
    auxiliary: tuple[AuxiliarySection, ...]
    missing: tuple[str, ...] = ()
    programs: ProgramsSummary | None = None
    joint: bool = False


@dataclass(frozen=True, slots=True)
class FitMetadata:
    """Recipe and sections of a fit.

    Parameters
    ----------
    recipe
        What was fitted.
    section
        The section it was fitted to.
    auxiliary
        Further sections of the fit.
    missing
        Names in the user's list of genes that are no genes of the section.
    programs
        Gene programs of the fit; ``None``: there are none.
    joint
        Whether it is one section's part of a joint fit, whose factors all sections share.
    """

    recipe: Recipe
    section: FittedSection
    auxiliary: tuple[AuxiliarySection, ...] = ()
    missing: tuple[str, ...] = ()
    programs: ProgramsSummary | None = None
    joint: bool = False

    def key(self, encoder: Encoder | None) -> str:
        """Return the hash of all that decides a fit: equal keys, equal fits."""
        return fit_key(self, self.section.fingerprint, encoder)

    def write(self, folder: Path) -> None:
        """Describe the latest fit in ``folder``: predicting later needs the predicted section alone."""
        write_record(folder / _NAME, asdict(self))

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Return whether ``folder`` describes a fit."""
        return (folder / _NAME).is_file()

    @classmethod
    def read(cls, folder: Path) -> FitMetadata:
        """Return what :meth:`write` wrote.

        Raises
        ------
        UsageError
            When there is no fit in the folder.
        DataError
            When the file is damaged.
        """
        path = folder / _NAME
        if not path.exists():
            raise UsageError(
                f"Expected a fit in '{folder}', got a folder without {_NAME}. Fit a section first."
            )
        content = read_record(path, _Content, remedy="Fit the section again.")
        recipe = Recipe.from_dict(msgspec.structs.asdict(content.recipe))
        return cls(
            recipe, content.section, content.auxiliary, content.missing, content.programs, content.joint
        )


def fit_key(fit: FitMetadata, section: str, encoder: Encoder | None) -> str:
    """Return the hash of all that decides a fit; ``section`` is the fingerprint of the first section."""
    # the genes themselves instead of how they were chosen: a file of names may change under its name
    recipe, genes = replace(fit.recipe, genes=""), list(fit.section.gene_ids)
    # device and precision are left out: they do not decide what is fitted
    parts: list[Any] = [recipe, genes, section, None if encoder is None else encoder.fingerprint]
    auxiliary = [other.fingerprint for other in fit.auxiliary]
    programs = [] if fit.programs is None else [{"programs": fit.programs.fingerprint}]
    joint = [{"joint": True}] if fit.joint else []
    return fingerprint(*parts, *([auxiliary] if auxiliary else []), *programs, *joint)
