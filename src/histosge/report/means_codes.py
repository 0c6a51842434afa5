"""What is known of means over disks as integer codes, from which the page computes intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge.prediction.effective_resolution import LEAST_RELIABILITY, UNEXPLAINED_SLOPE

from .area_means import AreaMeans
from .pack import blob, quantised

__all__ = ["PackedMeans", "packed_means"]


@dataclass(frozen=True, slots=True)
class PackedMeans:
    """Metadata for the page, ``None`` where there is nothing to say, and encoded arrays by name."""

    about: dict[str, Any] | None
    blobs: dict[str, str]


def packed_means(means: AreaMeans | str) -> PackedMeans:
    """Return patterns in 16 bits; the rest, numbers of genes and factors, in single precision."""
    if isinstance(means, str):
        return PackedMeans(None, {})
    patterns = quantised(means.patterns.T, 16)
    unexplained = means.unexplained
    genes = np.stack([unexplained.signal, unexplained.scale, unexplained.intercept])
    # nothing is said of genes without a reproducible pattern: one value for all packs better
    genes = np.where(np.isfinite(genes).all(axis=0), genes, np.nan)
    about = {
        "widths_um": list(means.widths_um),
        "spot_um": means.spot_um,
        "fine_share": list(means.fine_share),
        "patterns": patterns.about(),
        "slope": UNEXPLAINED_SLOPE,
        # lower variances are not distinct from 0 in this form
        "floor": means.error / UNEXPLAINED_SLOPE,
        "least": LEAST_RELIABILITY,
    }
    arrays = {
        "means_patterns": patterns.codes,
        "means_weights": means.weights.astype(np.float32),
        "means_genes": genes.astype(np.float32),
    }
    return PackedMeans(about, {name: blob(array) for name, array in arrays.items()})
