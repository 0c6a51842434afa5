"""High-resolution gene expression from a histology image and a spatial-transcriptomics section.

The main job::

    import histosge as hs

    section = hs.read("outs")  # Space Ranger, legacy ST, h5ad, SpatialData
    hs.run(section, hs.Recipe(), target=hs.Target(refine=4), out="results")

The pure core works on :class:`Section`, :class:`Locations`, :class:`Prediction`; ``hs.pp``, ``hs.tl`` and ``hs.pl``
are its scanpy-shaped faces for AnnData. Everything is imported at first use: ``import histosge`` loads neither torch
nor scanpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import pl, pp, tl
    from .assembly import run
    from .conservation import conserve
    from .datasets.synthetic import synthetic
    from .locations import Locations, at_spots, cells, grid, refined, within
    from .points import Points
    from .prediction import Prediction
    from .readers import read
    from .recipe import Recipe
    from .section import Section
    from .target import Target
    from .workflow import Machine, fit, load_fit, predict_at, predict_unseen

__all__ = [
    "Locations",
    "Machine",
    "Points",
    "Prediction",
    "Recipe",
    "Section",
    "Target",
    "at_spots",
    "cells",
    "conserve",
    "fit",
    "grid",
    "load_fit",
    "pl",
    "pp",
    "predict_at",
    "predict_unseen",
    "read",
    "refined",
    "run",
    "synthetic",
    "tl",
    "within",
]

# name -> room; the room itself where name and room are the same
_ROOMS = {
    "Locations": "locations",
    "Machine": "workflow",
    "Points": "points",
    "Prediction": "prediction",
    "Recipe": "recipe",
    "Section": "section",
    "Target": "target",
    "at_spots": "locations",
    "cells": "locations",
    "conserve": "conservation",
    "fit": "workflow",
    "grid": "locations",
    "load_fit": "workflow",
    "pl": "pl",
    "pp": "pp",
    "predict_at": "workflow",
    "predict_unseen": "workflow",
    "read": "readers",
    "refined": "locations",
    "run": "assembly",
    "synthetic": "datasets.synthetic",
    "tl": "tl",
    "within": "locations",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _ROOMS:
        raise AttributeError(f"module 'histosge' has no attribute '{name}'")
    room = import_module(f".{_ROOMS[name]}", __name__)
    value = room if name == _ROOMS[name] else getattr(room, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
