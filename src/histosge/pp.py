"""Preprocessing, scanpy-shaped: look at the image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ._anndata import Measured, section_of, write
from ._runtime.device import resolve_device, resolve_precision
from ._runtime.types import Array
from .encoders import load_encoder
from .encoders.base import Setup
from .encoders.embed import embed
from .encoders.feature_store import FeatureStore
from .section.locations import at_spots
from .section.section import Section
from .workflow.encode import slide_of

__all__ = ["features"]


def features(
    data: Measured,
    encoder: str = "texture",
    *,
    weights: Path | None = None,
    patch_um: float | None = None,
    device: str = "auto",
    store: Path | None = None,
    key_added: str | None = None,
    **reading: Any,
) -> Array:
    """Compute encoder features at the spots.

    Parameters
    ----------
    data
        A section or an AnnData; an AnnData also receives them in ``obsm[key_added]``.
    encoder, weights, patch_um
        See ``histosge list encoders``.
    device
        ``auto``, ``cpu``, ``cuda``, ``mps``.
    store
        Folder in which to keep and find them; ``None`` keeps none.
    key_added
        Default ``X_<encoder>``.
    reading
        ``image``, ``mpp``, ``library_id`` as for :func:`histosge.read`.

    Returns
    -------
    Spots × features, float32.
    """
    section = section_of(data, **reading)
    where = resolve_device(device)
    eyes = load_encoder(encoder, Setup(where, resolve_precision("auto", where), weights), patch_um=patch_um)
    shelf = None if store is None else FeatureStore(store)
    rows = embed(slide_of(section, encoder), at_spots(section).xy, eyes, store=shelf)
    values = np.asarray(rows[:])
    if not isinstance(data, Section):
        summary = {"encoder": encoder, "licence": eyes.card.licence, "source": eyes.card.source or "built in"}
        write(data, key_added or f"X_{encoder}", rows=section.spots.ids, values=values, summary=summary)
    return values
