"""Preprocessing, scanpy-shaped: image features at the spots."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ._runtime.types import Array
from .encoders import load_encoder
from .encoders.embed import embed
from .encoders.feature_store import FeatureStore
from .io.anndata_objects import Measured, section_of, write
from .section.locations import at_spots
from .section.section import Section
from .workflow.compute import Compute
from .workflow.encode import slide_of

__all__ = ["features"]


def features(
    data: Measured,
    encoder: str = "texture",
    *,
    weights: Path | Mapping[str, Path] | None = None,
    patch_um: float | Mapping[str, float] | None = None,
    device: str = "auto",
    store: str | Path | None = None,
    key_added: str | None = None,
    **reading: Any,
) -> Array:
    """Compute image features at the spots.

    Parameters
    ----------
    data
        A section or an AnnData; an AnnData also receives the features in ``obsm[key_added]``.
    encoder, weights, patch_um
        See ``histosge list encoders``; of several encoders joined by ``+``, files and widths by their names.
    device
        ``auto``, ``cpu``, ``cuda``, ``mps``.
    store
        Folder in which features are kept and reused; ``None`` keeps none.
    key_added
        Default ``X_<encoder>``.
    reading
        ``image``, ``mpp``, ``library_id`` as for :func:`histosge.read`.

    Returns
    -------
    Spots × features, float32.

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=8, rows=8, genes=12).section
    >>> hs.pp.features(section).shape == (len(section), 150)
    True
    """
    section = section_of(data, **reading)
    compute = Compute(device=device, weights=weights)
    loaded = load_encoder(encoder, compute.setup, patch_um=patch_um)
    kept = None if store is None else FeatureStore(Path(store))
    values = np.asarray(embed(slide_of(section, encoder), at_spots(section).xy, loaded, store=kept)[:])
    if not isinstance(data, Section):
        card = loaded.card
        summary = {"encoder": encoder, "licence": card.licence, "source": card.source or "built in"}
        write(data, key_added or f"X_{encoder}", rows=section.spots.ids, values=values, summary=summary)
    return values


def __dir__() -> list[str]:
    return sorted(__all__)
