"""High-resolution gene expression from a histology image and a spatial-transcriptomics section.

The main job::

    import histosge as hs

    section = hs.read("outs")  # Space Ranger, legacy ST, h5ad, SpatialData
    hs.run(section, hs.Recipe(), target=hs.Target(upsample=4), out="results")

The pure core works on :class:`Section`, :class:`Locations`, :class:`Prediction`; ``hs.pp``, ``hs.tl`` and ``hs.pl``
are its scanpy-shaped faces for AnnData. Everything is imported at first use: ``import histosge`` loads neither torch
nor scanpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import pl, pp, tl
    from .datasets.synthetic import synthetic
    from .geometry.points import Points
    from .io.readers import read
    from .prediction.count_allocation import conserve
    from .prediction.prediction import Prediction
    from .section.locations import Locations, at_spots, cells, grid, upsampled, within
    from .section.section import Section
    from .section.target import Target
    from .workflow.compute import Compute
    from .workflow.fit import fit
    from .workflow.predict import predict, predict_from_image
    from .workflow.recipe import Recipe
    from .workflow.run import run
    from .workflow.saved_fit import load_fit

__all__ = [
    "Compute",
    "Locations",
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
    "predict",
    "predict_from_image",
    "read",
    "run",
    "synthetic",
    "tl",
    "upsampled",
    "within",
]

# name -> module; the module itself where both are the same
_MODULES = {
    "Locations": "section.locations",
    "Compute": "workflow.compute",
    "Points": "geometry.points",
    "Prediction": "prediction.prediction",
    "Recipe": "workflow.recipe",
    "Section": "section.section",
    "Target": "section.target",
    "at_spots": "section.locations",
    "cells": "section.locations",
    "conserve": "prediction.count_allocation",
    "fit": "workflow.fit",
    "grid": "section.locations",
    "load_fit": "workflow.saved_fit",
    "pl": "pl",
    "pp": "pp",
    "predict": "workflow.predict",
    "predict_from_image": "workflow.predict",
    "read": "io.readers",
    "upsampled": "section.locations",
    "run": "workflow.run",
    "synthetic": "datasets.synthetic",
    "tl": "tl",
    "within": "section.locations",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _MODULES:
        raise AttributeError(f"module 'histosge' has no attribute '{name}'")
    room = import_module(f".{_MODULES[name]}", __name__)
    value = room if name == _MODULES[name] else getattr(room, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
