"""A fit applied to a section: what stays that of the fit."""

from __future__ import annotations

from dataclasses import dataclass

from histosge._runtime.types import Array
from histosge.encoders.base import Encoder
from histosge.models.base import Model
from histosge.prediction.total_counts import TotalCounts
from histosge.programs.alignment import ProgramsSummary
from histosge.section.genes import GenePanel
from histosge.section.section import Section

from .fit import Fit
from .recipe import Recipe

__all__ = ["AppliedFit"]


@dataclass(frozen=True, slots=True, eq=False)
class AppliedFit:
    """A fit applied to a section that is not its first one.

    Parameters
    ----------
    fit
        The fit.
    """

    fit: Fit

    @property
    def recipe(self) -> Recipe:
        """What was fitted."""
        return self.fit.recipe

    @property
    def model(self) -> Model:
        """The configured model."""
        return self.fit.model

    @property
    def encoder(self) -> Encoder | None:
        """Computes the image features that the model reads."""
        return self.fit.encoder

    @property
    def panel(self) -> GenePanel:
        """The genes it predicts."""
        return self.fit.panel

    @property
    def key(self) -> str:
        """Hash of the fit."""
        return self.fit.key

    @property
    def genes(self) -> Array:
        """Names of the genes it predicts."""
        return self.fit.genes

    def total_counts(self, section: Section) -> TotalCounts | None:
        """Return nothing: spots left out are known of the first section alone."""
        return None

    @property
    def programs_summary(self) -> ProgramsSummary | None:
        """Gene programs of the fit."""
        return self.fit.programs_summary
