"""Predict expression at locations, in the fitted section or in another one."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, runtime_checkable

from histosge._runtime.types import Array
from histosge.encoders.base import Encoder
from histosge.models.base import Model, Predictor
from histosge.models.base import predict as predict_inputs
from histosge.prediction.factored import Basis
from histosge.prediction.prediction import Prediction
from histosge.prediction.total_counts import TotalCounts
from histosge.programs.alignment import ProgramsSummary
from histosge.section.genes import GenePanel
from histosge.section.inputs import Inputs
from histosge.section.locations import Locations, at_spots
from histosge.section.multi_section import AuxiliarySection
from histosge.section.section import Section

from .compute import Compute
from .encode import encode
from .fit import Fit
from .recipe import Recipe
from .section_accuracy import SectionAccuracy
from .transfer import Transfer, refuse_without_image, transfer

__all__ = ["Fitted", "predict", "predict_from_image", "transfer_to"]


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


def predict(
    fit: Fitted, section: Section, locations: Locations, *, compute: Compute = Compute()
) -> Prediction:
    """Predict at ``locations`` of the section that was fitted, in memory.

    Parameters
    ----------
    fit
        As :func:`histosge.fit` or :func:`histosge.load_fit` returns it.
    section
        The fitted section.
    locations
        Where, as :func:`histosge.upsampled`, :func:`histosge.grid` and others return it.
    compute
        Device and store of image features.

    Returns
    -------
    Means, and standard deviations where the model knows them, of the fitted genes in log1p(CP10k); at the mean
    depth of the section where the recipe says ``depth_adjusted``.

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=8, rows=8, genes=12).section
    >>> fit = hs.fit(section, hs.Recipe("kriging", genes="all"))
    >>> hs.predict(fit, section, hs.grid(section, 50)).genes.tolist() == section.genes.tolist()
    True
    """
    inputs = encode(section, locations, needs=fit.model.needs, encoder=fit.encoder, compute=compute)
    prediction = predict_inputs(fit.predictor, fit.inputs(inputs))
    if not fit.recipe.depth_adjusted:
        return prediction
    # what takes values for log1p(CP10k) must see that they are not
    return replace(prediction, provenance={"recipe": fit.recipe.as_dict()})


def predict_from_image(
    fit: Fit, section: Section, locations: Locations, *, compute: Compute = Compute()
) -> Prediction:
    """Predict at ``locations`` of a section that was not fitted, from its H&E image alone.

    Its counts are not read; they may all be 0. Its spots, which may be a grid, show how it is stained.

    Parameters
    ----------
    fit
        A fit to other sections.
    section
        The section to predict, with an image.
    locations
        Where in it.
    compute
        Device and store of image features.

    Raises
    ------
    UsageError
        Where the model does not read the image.

    Examples
    --------
    >>> import histosge as hs
    >>> first, second, third = (hs.synthetic(columns=8, rows=8, genes=12, seed=seed).section for seed in range(3))
    >>> fit = hs.fit(first, hs.Recipe(genes="all"), auxiliary=[second])
    >>> hs.predict_from_image(fit, third, hs.at_spots(third)).mean.shape == third.counts.shape
    True
    """
    return predict(transfer_to(section, fit, compute=compute), section, locations, compute=compute)


def transfer_to(
    section: Section, fit: Fit, *, accuracy: SectionAccuracy | None = None, compute: Compute = Compute()
) -> Transfer:
    """Return the fit adapted to the image of ``section``.

    Raises
    ------
    UsageError
        Where the model does not read the image.
    """
    refuse_without_image(fit.model, section)
    spots = encode(section, at_spots(section), needs=fit.model.needs, encoder=fit.encoder, compute=compute)
    return transfer(fit, spots, accuracy=accuracy)
