"""The baselines that every evaluation includes."""

from __future__ import annotations

from histosge.workflow.recipe import Recipe

__all__ = ["BASELINES", "REFERENCE"]

# the skill score compares with this model: interpolation of positions, without the image
REFERENCE = Recipe("kriging")

BASELINES: tuple[Recipe, ...] = (
    Recipe("memorisation"),
    Recipe("mean"),
    Recipe("nearest"),
    Recipe("idw", options={"neighbours": 6}),
    Recipe("idw", options={"neighbours": 18}),
    Recipe("idw", options={"neighbours": 40}),
    REFERENCE,
    # no pattern of any gene: how much of a correlation is the total count
    Recipe("depth"),
    Recipe("ridge"),
)
