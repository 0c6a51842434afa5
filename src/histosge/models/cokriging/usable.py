"""Refuse samples that nothing can be fitted to."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from histosge.errors import DataError, UsageError
from histosge.section.inputs import Samples

__all__ = ["refuse_unusable"]


def refuse_unusable(samples: Samples) -> None:
    """Refuse too few spots, no genes, and values that are not finite."""
    if len(samples) < 3:
        raise UsageError(f"Expected at least 3 spots to fit, got {len(samples)}. Fit more spots.")
    if not len(samples.genes):
        raise UsageError("Expected at least one gene to fit, got none. Choose other `genes`.")
    for name in ("expression", "depth"):
        values = getattr(samples, name)
        # of a sparse matrix the values that are held; zeros are finite
        values = values.data if sparse.issparse(values) else values
        if not np.isfinite(values).all():
            raise DataError(
                f"Expected finite {name}, got {int((~np.isfinite(values)).sum())} values that are not. "
                "Check the counts."
            )
