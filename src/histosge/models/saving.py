"""Save and load fits: the configuration as JSON, the arrays as safetensors; nothing in a saved fit can run code."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.device import require_deep
from histosge._runtime.options import validated_options
from histosge.errors import DataError, UsageError

from .base import Model, Predictor

__all__ = ["is_saved", "load", "save"]

_CONFIG, _ARRAYS = "config.json", "arrays.safetensors"
# raised when the format changes, so that older fits are refused
_VERSION = 1


def is_saved(folder: Path) -> bool:
    """Return whether ``folder`` holds a complete fit."""
    return (folder / _CONFIG).exists() and (folder / _ARRAYS).exists()


def save(folder: Path, model: Model, predictor: Predictor) -> None:
    """Write a fit; the folder appears whole or not at all.

    Raises
    ------
    OutputError
        When the disk is full.
    """
    from safetensors.numpy import save as serialise

    content = {
        "version": _VERSION,
        "model": model.card.name,
        "options": asdict(model),  # type: ignore[call-overload]
        "genes": [str(gene) for gene in predictor.genes],
        "summary": dict(predictor.summary()),
    }
    with atomic_path(folder) as draft:
        draft.mkdir()
        # written here: safetensors raises its own class of error for a full disk
        arrays = {name: np.ascontiguousarray(array) for name, array in predictor.arrays().items()}
        (draft / _ARRAYS).write_bytes(serialise(arrays))
        (draft / _CONFIG).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load(folder: Path) -> tuple[Model, Predictor]:
    """Return the model and the predictor that :func:`save` wrote into ``folder``.

    Raises
    ------
    UsageError
        When there is none, one of another version, or a model that needs PyTorch where it is not installed.
    DataError
        When it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    from . import MODELS

    if not is_saved(folder):
        raise UsageError(f"Expected a fit in '{folder}', found none. Run `histosge fit` first.")
    try:
        content: dict[str, Any] = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        arrays = load_file(folder / _ARRAYS)
        if content["version"] != _VERSION:
            raise UsageError(
                f"The fit in '{folder}' is of another version. Delete that folder and fit again."
            )
        kind = MODELS[content["model"]]
        if kind.card.deep:
            require_deep(f"The model '{kind.card.name}'")
        model: Model = kind(**validated_options(kind, content["options"]))
        return model, model.restore(np.array(content["genes"], dtype=str), arrays, content["summary"])
    except (ValueError, KeyError, TypeError, SafetensorError, RuntimeError, OSError) as error:
        raise DataError(
            f"The fit in '{folder}' is damaged ({error}). Delete that folder and fit again."
        ) from error
