"""Predict expression at locations, in the fitted section or in another one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from histosge.models.base import FactoredPredictor
from histosge.models.base import predict as predict_inputs
from histosge.prediction.prediction import Prediction
from histosge.section.inputs import Inputs
from histosge.section.locations import Locations, at_spots
from histosge.section.section import Section

from .beyond_spots import is_beyond, with_error_away
from .compute import Compute
from .encode import encode
from .fit import Fit
from .fitted import Fitted
from .section_accuracy import SectionAccuracy
from .transfer import Transfer, refuse_without_image, transfer

__all__ = ["Fitted", "predict", "predict_from_image", "transfer_to"]


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
    depth of the section where the recipe says ``depth_adjusted``. Further than a pitch from every spot, standard
    deviations of models by factors are at least the errors of halves of the section that are left out for it.

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=8, rows=8, genes=12).section
    >>> fit = hs.fit(section, hs.Recipe("kriging", genes="all"))
    >>> hs.predict(fit, section, hs.grid(section, 50)).genes.tolist() == section.genes.tolist()
    True
    """
    inputs = encode(section, locations, needs=fit.model.needs, encoder=fit.encoder, compute=compute)
    inputs = fit.inputs(inputs)
    prediction = _with_error_away(predict_inputs(fit.predictor, inputs), fit, section, inputs, compute)
    if not fit.recipe.depth_adjusted:
        return prediction
    # what takes values for log1p(CP10k) must see that they are not
    return replace(prediction, provenance={"recipe": fit.recipe.as_dict()})


def _with_error_away(
    prediction: Prediction, fit: Fitted, section: Section, inputs: Inputs, compute: Compute
) -> Prediction:
    """Return the prediction with standard deviations beyond the spots that were measured; the others stay."""
    predictor = fit.predictor
    # of a section that is predicted from its image alone, no count is read
    measured = section.has_counts and not isinstance(fit, Transfer)
    if prediction.sd is None or not measured or not isinstance(predictor, FactoredPredictor):
        return prediction
    rows = np.flatnonzero(is_beyond(section, prediction.locations.distance_um(section.spots)))
    if not len(rows):
        return prediction
    beyond, _ = with_error_away(predictor.factored(inputs.take(rows)), fit, section, compute)
    sd = np.array(prediction.sd)
    sd[rows] = beyond.whole([str(name) for name in prediction.genes], observation=True).sd
    return replace(prediction, sd=sd)


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
