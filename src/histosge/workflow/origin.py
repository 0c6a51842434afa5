"""What a fit remembers of the section it was made on, for predicting others."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.section.genes import GenePanel
from histosge.section.multi_section import AuxiliarySection
from histosge.section.section import Section

__all__ = ["Origin"]

_NAME = "section.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """The section that a fit was made on, without its counts and its image.

    Parameters
    ----------
    name, fingerprint
        Which section.
    spots, genes
        How many it has.
    mpp, pitch_um
        Its scale, and the distance of its spots.
    gene_ids
        Identifiers of the genes fitted, in the order of the panel.
    """

    name: str
    fingerprint: str
    spots: int
    genes: int
    mpp: float
    pitch_um: float
    gene_ids: tuple[str, ...]

    @classmethod
    def of(cls, section: Section, panel: GenePanel) -> Origin:
        """Take down what is worth remembering."""
        ids = tuple(str(name) for name in section.gene_ids[panel.columns])
        numbers = (len(section), len(section.genes), section.mpp, section.pitch_um)
        return cls(section.name, section.fingerprint, *numbers, ids)

    def write(self, folder: Path) -> None:
        """Keep it in the folder of a fit."""
        with atomic_path(folder / _NAME) as draft:
            draft.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Origin:
        """Return what :meth:`write` kept.

        Raises
        ------
        UsageError
            When there is nothing, or the fit is of an earlier version.
        DataError
            When it is damaged.
        """
        path = folder / _NAME
        if not path.exists():
            raise UsageError(
                f"'{folder}' has no {_NAME}: there is no fit, or one that predicts its own section alone. "
                "Run `histosge fit` again."
            )
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            return cls(**held | {"gene_ids": tuple(held["gene_ids"])})
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"'{path}' is damaged. Run `histosge fit` again.") from error

    def as_sibling(self) -> AuxiliarySection:
        """Return what a record says of it beside another section: one of those that were learnt from."""
        return AuxiliarySection(self.name, self.fingerprint, self.spots, len(self.gene_ids), 0, 0)

    def ids(self) -> Array:
        """Return the identifiers as an array."""
        return np.array(self.gene_ids, dtype=str)
