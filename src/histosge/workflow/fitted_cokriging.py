"""The predictor of a fit that can be repeated without some of its spots."""

from __future__ import annotations

from histosge.errors import UsageError
from histosge.models.cokriging.predictor import CokrigingPredictor
from histosge.models.gene_order import as_fitted
from histosge.prediction.mean_depth import refuse_depth_adjusted
from histosge.section.section import Section

from .effective_resolution import LEAST_SPOTS
from .fit import Fit

__all__ = ["cokriging_of"]


def cokriging_of(fit: Fit, section: Section, purpose: str) -> CokrigingPredictor:
    """Return the predictor of a fit whose posterior is known everywhere.

    Parameters
    ----------
    fit
        Of the model ``cokriging``, to one section.
    section
        The fitted section.
    purpose
        What it is needed for, as the subject of a sentence: ``"Detection"``.

    Raises
    ------
    UsageError
        For a fit of another model, of several sections, of another section, or with ``depth_adjusted``, a transfer,
        and too few spots.
    """
    predictor = as_fitted(fit.predictor) if isinstance(fit, Fit) else None
    if not isinstance(predictor, CokrigingPredictor):
        raise UsageError(
            f"{purpose} needs a fit of the model cokriging to measured spots: other models state no posterior of a "
            "mean over a disk. Fit one with `hs.fit`."
        )
    refuse_depth_adjusted({"recipe": fit.recipe.as_dict()}, purpose)
    if fit.auxiliary:
        raise UsageError(
            f"Expected a fit of one section, got one with {len(fit.auxiliary)} auxiliary sections, which would have to "
            "be fitted again without some spots. Fit the section by itself."
        )
    if fit.metadata.programs is not None and fit.programs is None:
        raise UsageError(
            "Expected a fit without gene programs: a saved fit does not keep them, and would have to be fitted again "
            "without some spots. Fit the section by `hs.fit`, or without programs."
        )
    if fit.metadata.section.fingerprint != section.fingerprint:
        raise UsageError(f"Section '{section.name}' is not the one that was fitted. Give that one.")
    if len(section) < LEAST_SPOTS:
        raise UsageError(
            f"Expected at least {LEAST_SPOTS} spots, got {len(section)}: fewer do not show how well left-out spots "
            "are predicted."
        )
    return predictor
