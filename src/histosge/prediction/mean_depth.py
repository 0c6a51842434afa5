"""Predictions at the mean depth of a section: how they are recognised, described and refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from histosge.errors import UsageError

__all__ = ["AT_MEAN_DEPTH", "is_depth_adjusted", "refuse_depth_adjusted"]

#: said beside every statement on a prediction that is adjusted for depth
AT_MEAN_DEPTH = (
    "Maps show expression at the section's mean depth, and their accuracy is that of measurements adjusted likewise; "
    "measured values beside them are not adjusted."
)


def is_depth_adjusted(provenance: Mapping[str, Any]) -> bool:
    """Return whether what made a prediction was fitted to expression that is adjusted for depth."""
    recipe = provenance.get("recipe")
    return bool(recipe.get("depth_adjusted", False)) if isinstance(recipe, Mapping) else False


def refuse_depth_adjusted(provenance: Mapping[str, Any], purpose: str) -> None:
    """Refuse a prediction at the mean depth where it would be taken for log1p(CP10k).

    Parameters
    ----------
    provenance
        Of the prediction; its ``recipe`` says how it was fitted.
    purpose
        What log1p(CP10k) is needed for, as the subject of a sentence: ``"Detection"``.

    Raises
    ------
    UsageError
        For a prediction that is adjusted for depth.
    """
    if is_depth_adjusted(provenance):
        raise UsageError(
            f"{purpose} needs a fit to log1p(CP10k) as it was measured, got one with `depth_adjusted`. Fit the section "
            "without it."
        )
