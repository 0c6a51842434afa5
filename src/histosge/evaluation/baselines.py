"""The baselines that every evaluation includes: at spots, and below their scale."""

from __future__ import annotations

from histosge.workflow.recipe import Recipe

__all__ = ["BASELINES", "FINER_BASELINES", "REFERENCE"]

# the skill score compares with this model: interpolation of positions, without the image
REFERENCE = Recipe("kriging")

_NEIGHBOURS = (Recipe("nearest"), Recipe("idw", options={"neighbours": 6}))
# what stands beside every system at every scale
_ALWAYS = (
    REFERENCE,
    # no pattern of any gene: how much of a correlation is the total count
    Recipe("depth"),
    Recipe("ridge"),
)

#: of an evaluation at test spots
BASELINES: tuple[Recipe, ...] = (
    Recipe("memorisation"),
    Recipe("mean"),
    *_NEIGHBOURS,
    Recipe("idw", options={"neighbours": 18}),
    Recipe("idw", options={"neighbours": 40}),
    *_ALWAYS,
)
#: of an evaluation against a finer truth, where every spot is fitted: nothing can be memorised
FINER_BASELINES: tuple[Recipe, ...] = (
    *_NEIGHBOURS,
    Recipe("cubic"),
    *_ALWAYS,
    Recipe("cokriging", "positions"),
)
