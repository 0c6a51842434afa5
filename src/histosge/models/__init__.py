"""Models: measured spots in, a predictor for any place out.

Adding one is adding a file with a frozen dataclass and its line in ``_built_in``; other packages use the entry-point
group ``histosge.models``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._registry import Registry
from ._contract import Block, Crop, Model, ModelCard, Needs, Predictor, Runtime, predict
from ._options import checked, chosen_preset

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
    from .boosting import Boosting
    from .cokriging import Cokriging
    from .deepspace import DeepSpaCE
    from .feedforward import FeedForward
    from .gat import GAT
    from .histogene import HisToGene
    from .histosge import HisToSGE
    from .idw import IDW
    from .kriging import Kriging
    from .mean import Mean
    from .memoriser import Memoriser
    from .nearest import Nearest
    from .pca_ridge import PCARidge
    from .ridge import Ridge
    from .stage import STAGE
    from .stage_plus import STAGEPlus
    from .stnet import STNet
    from .thitogene import THItoGene

    simple = (Cokriging, Kriging, Ridge, PCARidge, Boosting, IDW, Nearest, Mean, Memoriser)
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
