"""Models: fitted to measured spots, they predict at any location.

A model is a frozen dataclass in ``ENTRIES`` of a module in one of the folders ``cokriging``, ``baselines``, ``deep``
and ``rivals``, or an entry point in the group ``histosge.models`` of another package.
"""

from __future__ import annotations

from typing import Any

from histosge._runtime.device import require_deep
from histosge._runtime.options import preset_options, validated_options
from histosge._runtime.registry import Registry

from .base import Block, Crop, Model, ModelCard, Needs, Predictor, Runtime, predict
from .baselines.regression import Regression, SklearnModel

__all__ = [
    "MODELS",
    "Block",
    "Crop",
    "Model",
    "ModelCard",
    "Needs",
    "Predictor",
    "Regression",
    "Runtime",
    "SklearnModel",
    "build_model",
    "predict",
    "presets",
]


_FOLDERS = ("cokriging", "baselines", "deep", "rivals")
# configurations are frozen dataclasses; the entry is the class
MODELS: Registry[type[Any]] = Registry("model", ModelCard, [f"{__name__}.{folder}" for folder in _FOLDERS])


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
        For an unknown model, preset or option, a value that an option cannot have, or a model that needs PyTorch
        where it is not installed.

    Examples
    --------
    >>> build_model("idw", neighbours=6)
    IDW(neighbours=6, power=2.0)
    """
    kind = MODELS[name]
    if kind.card.deep:
        require_deep(f"The model '{name}'")
    model: Model = kind(**validated_options(kind, {**preset_options(kind, preset), **options}))
    return model
