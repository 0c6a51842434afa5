"""Save and load fits: the configuration as JSON, the arrays as safetensors; nothing in a saved fit can run code."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from histosge._runtime.atomic_files import atomic_path, holds_only
from histosge._runtime.device import require_deep
from histosge._runtime.hashing import fingerprint_file
from histosge._runtime.options import validated_options
from histosge._runtime.records import read_record, record_text
from histosge.errors import DataError, UsageError

from .base import Model, Predictor
from .gene_order import as_fitted, in_gene_order

__all__ = ["is_saved", "load", "save"]

_CONFIG, _ARRAYS = "config.json", "arrays.safetensors"
# raised when the format changes, so that older fits are refused
_VERSION = 3
_REMEDY = "Delete that folder and fit again."


class _Config(msgspec.Struct, forbid_unknown_fields=True):
    """Schema of the configuration file."""

    version: int
    model: str
    options: dict[str, Any]
    genes: list[str]
    # in the order that the arrays have
    fitted_genes: list[str]
    summary: dict[str, Any]
    # of the file of arrays: a flipped bit in it would be another number, and no error
    arrays: str


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
        "fitted_genes": [str(gene) for gene in as_fitted(predictor).genes],
        "summary": dict(predictor.summary()),
    }
    with atomic_path(folder, own=holds_only(_CONFIG, _ARRAYS)) as draft:
        draft.mkdir()
        # written here: safetensors raises its own class of error for a full disk
        arrays = {name: np.ascontiguousarray(array) for name, array in predictor.arrays().items()}
        (draft / _ARRAYS).write_bytes(serialise(arrays))
        content["arrays"] = fingerprint_file(draft / _ARRAYS)
        (draft / _CONFIG).write_text(record_text(content), encoding="utf-8")


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
    config = _config(folder)
    try:
        if fingerprint_file(folder / _ARRAYS) != config.arrays:
            raise ValueError("the checksum of its arrays is that of other arrays")
        arrays = load_file(folder / _ARRAYS)
        kind = MODELS[config.model]
        if kind.card.deep:
            require_deep(f"The model '{kind.card.name}'")
        model: Model = kind(**validated_options(kind, config.options))
        fitted = model.restore(np.array(config.fitted_genes, dtype=str), arrays, config.summary)
        return model, in_gene_order(fitted, config.genes)
    except PermissionError as error:
        raise UsageError(f"No permission to read the fit in '{folder}'.") from error
    except (ValueError, KeyError, TypeError, SafetensorError, RuntimeError, OSError) as error:
        raise DataError(f"The fit in '{folder}' is damaged ({error}). {_REMEDY}") from error


def _config(folder: Path) -> _Config:
    try:
        config = read_record(folder / _CONFIG, _Config, remedy="")
    except DataError as error:
        raise DataError(f"The fit in '{folder}' is damaged: {str(error).strip()} {_REMEDY}") from error
    if config.version != _VERSION:
        raise UsageError(f"The fit in '{folder}' is of another version. {_REMEDY}")
    return config
