"""Models: measured spots in, a predictor for any place out.

Adding one is adding a file with a frozen dataclass and its line in ``_built_in``; other packages use the entry-point
group ``histosge.models``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from histosge._runtime.options import checked, chosen_preset
from histosge._runtime.registry import Registry

from .base import Block, Crop, Model, ModelCard, Needs, Predictor, Runtime, predict

__all__ = [
    "MODELS",
    "Block",
    "Crop",
    "Model",
    "ModelCard",
    "Needs",
    "Predictor",
    "Runtime",
    "build_model",
    "predict",
    "presets",
]


def _built_in() -> Mapping[str, type[Any]]:
    from .baselines.boosting import Boosting
    from .baselines.idw import IDW
    from .baselines.kriging import Kriging
    from .baselines.mean import Mean
    from .baselines.memorisation import Memorisation
    from .baselines.nearest import Nearest
    from .baselines.pca_ridge import PCARidge
    from .baselines.ridge import Ridge
    from .cokriging.model import Cokriging
    from .deep.feedforward import FeedForward
    from .deep.gat import GAT
    from .deep.histosge import HisToSGE
    from .deep.stage_plus import STAGEPlus
    from .rivals.deepspace import DeepSpaCE
    from .rivals.histogene import HisToGene
    from .rivals.stage import STAGE
    from .rivals.stnet import STNet
    from .rivals.thitogene import THItoGene

    simple = (Cokriging, Kriging, Ridge, PCARidge, Boosting, IDW, Nearest, Mean, Memorisation)
    systems = (STAGE, THItoGene, HisToGene, DeepSpaCE, STNet)
    ablations = (FeedForward, GAT, STAGEPlus)
    return {model.card.name: model for model in (HisToSGE, *simple, *systems, *ablations)}


# configurations are frozen dataclasses; the entry is the class
MODELS: Registry[type[Any]] = Registry("model", _built_in)


def presets(name: str) -> tuple[str, ...]:
    """Return the names of a model's presets; most have none.

    Raises
    ------
    UsageError
        For an unknown model.
    """
    return tuple(getattr(MODELS[name], "presets", {}))


def build_model(name: str, preset: str | None = None, **options: Any) -> Model:
    """Return a configured model.

    Parameters
    ----------
    name
        As listed by ``histosge list models``.
    preset
        Named set of options; ``None`` takes the model's defaults.
    options
        Single fields that differ from the preset.

    Raises
    ------
    UsageError
        For an unknown model, preset or option, or a value that an option cannot have.
    """
    kind = MODELS[name]
    model: Model = kind(**checked(kind, {**chosen_preset(kind, preset), **options}))
    return model
