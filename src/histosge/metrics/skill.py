"""The skill score: what a model adds to kriging."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Float

__all__ = ["skill_score"]


def skill_score(
    mse: Float[np.ndarray, " g"], mse_kriging: Float[np.ndarray, " g"]
) -> Float[np.ndarray, " g"]:
    """Return 1 − MSE / MSE(kriging) of each gene; NaN where kriging makes no error.

    1 is a perfect prediction, 0 is as good as kriging, negative values are worse than kriging.

    Examples
    --------
    >>> import numpy as np
    >>> skill_score(np.array([0.5, 2.0]), np.array([1.0, 1.0])).tolist()
    [0.5, -1.0]
    """
    # a gene without any count at the spots has no error by either model
    defined = mse_kriging > 0
    ratio = np.divide(mse, mse_kriging, out=np.full(len(mse), np.nan), where=defined)
    return np.asarray(1 - ratio)
