"""What a fit and one applied to another section share."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from histosge._runtime.types import Array
from histosge.encoders.base import Encoder
from histosge.models.base import Model, Predictor
from histosge.prediction.factored import Basis
from histosge.prediction.total_counts import TotalCounts
from histosge.programs.alignment import ProgramsSummary
from histosge.section.genes import GenePanel
from histosge.section.inputs import Inputs
from histosge.section.multi_section import AuxiliarySection
from histosge.section.section import Section

from .recipe import Recipe
from .section_accuracy import SectionAccuracy

__all__ = ["Fitted"]


@runtime_checkable
class Fitted(Protocol):
    """What a :class:`~histosge.workflow.fit.Fit` and a :class:`~histosge.workflow.transfer.Transfer` share."""

    @property
    def recipe(self) -> Recipe:
        """What was fitted."""
        ...

    @property
    def model(self) -> Model:
        """The configured model."""
        ...

    @property
    def predictor(self) -> Predictor:
        """What fitting returned."""
        ...

    @property
    def encoder(self) -> Encoder | None:
        """Computes the image features that the model reads."""
        ...

    @property
    def panel(self) -> GenePanel:
        """The genes it predicts, and their columns."""
        ...

    @property
    def genes(self) -> Array:
        """Names of the genes it predicts."""
        ...

    @property
    def key(self) -> str:
        """Hash of the fit."""
        ...

    @property
    def auxiliary(self) -> tuple[AuxiliarySection, ...]:
        """Fitted sections beside the predicted one."""
        ...

    @property
    def programs_summary(self) -> ProgramsSummary | None:
        """Gene programs of the fit."""
        ...

    @property
    def basis(self) -> str:
        """What its predictions rest on, as text."""
        ...

    @property
    def accuracy(self) -> SectionAccuracy | None:
        """Accuracy in sections left out of the fit, where that is known."""
        ...

    def inputs(self, inputs: Inputs) -> Inputs:
        """Return the inputs of locations as the predictor takes them."""
        ...

    def total_counts(self, section: Section) -> TotalCounts | None:
        """Return how total counts follow from factor scores, where that is known."""
        ...

    def completed(self, basis: Basis, section: Section) -> Basis:
        """Return the basis of a prediction of ``section`` with all that the fit knows of its genes."""
        ...
