"""A fit applied to another section, from the image of that section alone."""

from __future__ import annotations

from dataclasses import dataclass

from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.images.tissue import TissueMask
from histosge.models.base import AdaptivePredictor, Model, Predictor
from histosge.prediction.factored import Basis
from histosge.section.image_only import section_of_image, with_genes
from histosge.section.inputs import Inputs, in_section
from histosge.section.multi_section import AuxiliarySection
from histosge.section.section import Section

from .applied_fit import AppliedFit
from .fit import Fit
from .section_accuracy import SectionAccuracy

__all__ = ["Transfer", "refuse_without_image", "sampled_at", "transfer", "with_fitted_genes"]


@dataclass(frozen=True, slots=True, eq=False)
class Transfer(AppliedFit):
    """A fit applied to a section that is none of those fitted.

    Parameters
    ----------
    fit
        The fit to other sections.
    predictor
        Its predictor, adapted to the image of the section to predict.
    accuracy
        How well genes are predicted in sections left out of the fit, where that is known.
    """

    predictor: Predictor
    accuracy: SectionAccuracy | None = None

    @property
    def genes(self) -> Array:
        """Names of the genes it predicts."""
        return self.predictor.genes

    @property
    def auxiliary(self) -> tuple[AuxiliarySection, ...]:
        """All sections that were fitted."""
        return (self.fit.metadata.section.as_auxiliary(), *self.fit.auxiliary)

    @property
    def basis(self) -> str:
        """What its predictions rest on, as text."""
        names = ", ".join(section.name for section in self.auxiliary)
        return f"nothing measured in this section: predicted from its H&E image, with a fit to {names}"

    def inputs(self, inputs: Inputs) -> Inputs:
        """Return the inputs of locations in the new section, marked as those of no fitted section."""
        # fitted sections are 0, 1, …: the next index is that of none, so no spot counts as a neighbour
        return in_section(inputs, len(self.auxiliary))

    def completed(self, basis: Basis, section: Section) -> Basis:
        """Return the basis with the accuracy of its genes in sections left out, where that is known."""
        return basis if self.accuracy is None else self.accuracy.applied_to(basis)


def transfer(fit: Fit, spots: Inputs, *, accuracy: SectionAccuracy | None = None) -> Transfer:
    """Apply a fit to another section.

    Parameters
    ----------
    fit
        The fit to other sections.
    spots
        Inputs of locations all over the new section: they show how it is stained.
    accuracy
        Result of leave-one-section-out cross-validation of the fit.
    """
    result = Transfer(fit, fit.predictor, accuracy)
    if not isinstance(fit.predictor, AdaptivePredictor):
        return result
    return Transfer(fit, fit.predictor.adapted_to(result.inputs(spots)), accuracy)


def refuse_without_image(model: Model, section: Section) -> None:
    """Refuse a model that does not read the image: it has nothing to predict an unfitted section from.

    Raises
    ------
    UsageError
        Where the configured model reads positions alone.
    """
    if not model.uses_image:
        raise UsageError(
            f"'{model.card.name}' interpolates between measured spots, and no spot of '{section.name}' was fitted. "
            "Choose a model that reads the image, such as cokriging."
        )


def sampled_at(section: Section, pitch_um: float, *, mask: TissueMask) -> Section:
    """Return a section without counts, sampled at the pitch of a fitted section; one with a lattice keeps it."""
    if section.lattice is not None or section.slide is None:
        return section
    # features averaged over neighbours mean the same where neighbours are equally far
    sampled = section_of_image(section.slide, section.name, spacing_um=pitch_um, mask=mask)
    return sampled.with_messages(*section.messages)


def with_fitted_genes(section: Section, fit: Fit) -> Section:
    """Return a section without counts that has the genes of a fit."""
    return with_genes(section, fit.genes, fit.metadata.section.ids)
