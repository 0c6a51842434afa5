"""A fit on disk: its configuration as JSON, its arrays as safetensors; nothing in it can run code."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.options import checked
from histosge.errors import DataError, UsageError

from .base import Model, Predictor

__all__ = ["is_saved", "load", "save"]

_CONFIG, _ARRAYS = "config.json", "arrays.safetensors"
# raised whenever older fits can no longer be read
_VERSION = 1


def is_saved(folder: Path) -> bool:
    """Tell whether a whole fit is in ``folder``."""
    return (folder / _CONFIG).exists() and (folder / _ARRAYS).exists()


def save(folder: Path, model: Model, predictor: Predictor) -> None:
    """Write a fit; the folder appears whole or not at all.

    Raises
    ------
    OutputError
        When the disk is full.
    """
    from safetensors.numpy import save as packed

    content = {
        "version": _VERSION,
        "model": model.card.name,
        "options": asdict(model),  # type: ignore[call-overload]
        "genes": [str(gene) for gene in predictor.genes],
        "summary": dict(predictor.summary()),
    }
    with atomic_path(folder) as draft:
        draft.mkdir()
        # safetensors' own writing has errors of its own class for a full disk
        arrays = {name: np.ascontiguousarray(array) for name, array in predictor.arrays().items()}
        (draft / _ARRAYS).write_bytes(packed(arrays))
        (draft / _CONFIG).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load(folder: Path) -> tuple[Model, Predictor]:
    """Return the model and the predictor that :func:`save` left in ``folder``.

    Raises
    ------
    UsageError
        When there is none, or one of another version.
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
        model: Model = kind(**checked(kind, content["options"]))
        return model, model.restore(np.array(content["genes"], dtype=str), arrays, content["summary"])
    except (ValueError, KeyError, TypeError, SafetensorError, RuntimeError, OSError) as error:
        raise DataError(
            f"The fit in '{folder}' is damaged ({error}). Delete that folder and fit again."
        ) from error
