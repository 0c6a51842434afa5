"""High-resolution gene expression from a histology image and a spatial-transcriptomics section.

The main job::

    import histosge as hs

    section = hs.read("outs")  # Space Ranger, legacy ST, h5ad, SpatialData
    hs.run(section, hs.Recipe(), target=hs.Target(upsample=4), out="results")

The core works on :class:`Section`, :class:`Locations` and :class:`Prediction`; ``hs.pp``, ``hs.tl`` and ``hs.pl`` are
its scanpy-shaped interface for AnnData. Everything is imported at first use: ``import histosge`` loads neither torch
nor scanpy.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import pl, pp, programs, tl
    from .datasets.synthetic import synthetic
    from .domains import DOMAINS
    from .encoders import ENCODERS
    from .encoders.base import Encoder, EncoderCard
    from .errors import (
        DataError,
        HistosgeError,
        HistosgeWarning,
        OutputError,
        UsageError,
        WeightsError,
    )
    from .evaluation.benchmark import benchmark
    from .evaluation.evaluate import evaluate
    from .evaluation.fine_truth.evaluate import evaluate_fine_truth
    from .evaluation.hest.benchmark import hest
    from .geometry.points import Points
    from .io.export import export
    from .io.gene_of_anndata import gene
    from .io.readers import READERS, read
    from .io.readers.base import Reader
    from .io.writers import WRITERS
    from .io.writers.base import Writer
    from .metrics import METRICS
    from .metrics.base import Metric
    from .models import MODELS
    from .models.base import Model, Predictor
    from .prediction.count_allocation import conserve, conserve_cells
    from .prediction.detection import Detection
    from .prediction.effective_resolution import EffectiveResolution
    from .prediction.factored import FactoredPrediction
    from .prediction.prediction import Prediction
    from .section.captures import joined_captures
    from .section.locations import Locations, at_cells, at_spots, grid, upsampled, within
    from .section.section import Section
    from .section.splits import Split
    from .section.target import Target, cells_of
    from .segmentation.cells import Cells
    from .segmentation.sources import CELL_SOURCES
    from .segmentation.sources.base import CellSource
    from .workflow.citation import citation
    from .workflow.cohort.cohort import cohort
    from .workflow.compute import Compute
    from .workflow.detection import detect
    from .workflow.doctor import doctor
    from .workflow.effective_resolution import effective_resolution
    from .workflow.fit import fit
    from .workflow.outputs import Outputs
    from .workflow.predict import predict, predict_from_image
    from .workflow.recipe import Recipe
    from .workflow.run import run
    from .workflow.saved_fit import load_fit
    from .workflow.unmeasured_genes import UnmeasuredGenes, predict_unmeasured

    __version__: str

__all__ = [
    "CELL_SOURCES",
    "DOMAINS",
    "ENCODERS",
    "METRICS",
    "MODELS",
    "READERS",
    "WRITERS",
    "CellSource",
    "Cells",
    "Compute",
    "DataError",
    "Detection",
    "EffectiveResolution",
    "Encoder",
    "EncoderCard",
    "FactoredPrediction",
    "HistosgeError",
    "HistosgeWarning",
    "Locations",
    "Metric",
    "Model",
    "OutputError",
    "Outputs",
    "Points",
    "Prediction",
    "Predictor",
    "Reader",
    "Recipe",
    "Section",
    "Split",
    "Target",
    "UnmeasuredGenes",
    "UsageError",
    "WeightsError",
    "Writer",
    "__version__",
    "at_cells",
    "at_spots",
    "benchmark",
    "cells_of",
    "citation",
    "cohort",
    "conserve",
    "conserve_cells",
    "detect",
    "doctor",
    "effective_resolution",
    "evaluate",
    "evaluate_fine_truth",
    "export",
    "fit",
    "gene",
    "grid",
    "hest",
    "joined_captures",
    "load_fit",
    "pl",
    "pp",
    "predict",
    "predict_from_image",
    "predict_unmeasured",
    "programs",
    "read",
    "run",
    "synthetic",
    "testing",
    "tl",
    "upsampled",
    "within",
]

# module -> the public names in it
_NAMES = {
    "datasets.synthetic": ("synthetic",),
    "domains": ("DOMAINS",),
    "encoders": ("ENCODERS",),
    "encoders.base": ("Encoder", "EncoderCard"),
    "errors": (
        "DataError",
        "HistosgeError",
        "HistosgeWarning",
        "OutputError",
        "UsageError",
        "WeightsError",
    ),
    "evaluation.benchmark": ("benchmark",),
    "evaluation.evaluate": ("evaluate",),
    "evaluation.fine_truth.evaluate": ("evaluate_fine_truth",),
    "evaluation.hest.benchmark": ("hest",),
    "geometry.points": ("Points",),
    "io.export": ("export",),
    "io.gene_of_anndata": ("gene",),
    "io.readers": ("READERS", "read"),
    "io.readers.base": ("Reader",),
    "io.writers": ("WRITERS",),
    "io.writers.base": ("Writer",),
    "metrics": ("METRICS",),
    "metrics.base": ("Metric",),
    "models": ("MODELS",),
    "models.base": ("Model", "Predictor"),
    "prediction.count_allocation": ("conserve", "conserve_cells"),
    "prediction.detection": ("Detection",),
    "prediction.effective_resolution": ("EffectiveResolution",),
    "prediction.factored": ("FactoredPrediction",),
    "prediction.prediction": ("Prediction",),
    "section.captures": ("joined_captures",),
    "section.locations": ("Locations", "at_cells", "at_spots", "grid", "upsampled", "within"),
    "section.section": ("Section",),
    "section.splits": ("Split",),
    "section.target": ("Target", "cells_of"),
    "segmentation.cells": ("Cells",),
    "segmentation.sources": ("CELL_SOURCES",),
    "segmentation.sources.base": ("CellSource",),
    "workflow.citation": ("citation",),
    "workflow.cohort.cohort": ("cohort",),
    "workflow.compute": ("Compute",),
    "workflow.detection": ("detect",),
    "workflow.doctor": ("doctor",),
    "workflow.effective_resolution": ("effective_resolution",),
    "workflow.fit": ("fit",),
    "workflow.outputs": ("Outputs",),
    "workflow.predict": ("predict", "predict_from_image"),
    "workflow.recipe": ("Recipe",),
    "workflow.run": ("run",),
    "workflow.saved_fit": ("load_fit",),
    "workflow.unmeasured_genes": ("UnmeasuredGenes", "predict_unmeasured"),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}
_FACES = ("pl", "pp", "programs", "testing", "tl")


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    value: Any
    if name == "__version__":
        from importlib.metadata import version

        value = version("histosge")
    elif name in _FACES:
        value = import_module(f".{name}", __name__)
    elif name in _MODULE_OF:
        value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    else:
        raise AttributeError(f"module 'histosge' has no attribute '{name}'")
    _show_public_module()
    globals()[name] = value
    return value


def _show_public_module() -> None:
    """Make public objects loaded so far name ``histosge`` as their module, in tracebacks, help and pickles.

    Protocols keep theirs: models and encoders inherit from them, and type hints are resolved in the module they name.
    """
    for name, module in _MODULE_OF.items():
        value = getattr(sys.modules.get(f"{__name__}.{module}"), name, None)
        if isinstance(value, (type, FunctionType)) and not getattr(value, "_is_protocol", False):
            value.__module__ = __name__


def __dir__() -> list[str]:
    return sorted(__all__)
