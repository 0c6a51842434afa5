"""Winsorise outlying measurements around their leave-one-out predictions."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Float

__all__ = ["WINSORISE_SD", "winsorised"]

# the usual rule; errors further out are rarely a pattern of the tissue, and nearer ones often are
WINSORISE_SD = 3.0


def winsorised(
    values: Float[np.ndarray, "n g"], expected: Float[np.ndarray, "n g"], most_sd: float = WINSORISE_SD
) -> Float[np.ndarray, "n g"]:
    """Return centred measurements, at most ``most_sd`` root mean square errors from their prediction.

    Eq. 14 of docs/method.md. One step of an M-estimator by pseudo-values (Huber & Ronchetti 2009, chapter 7): one or
    two counts of a rare gene at a spot of few counts are many standard deviations from the mean, and a linear
    predictor follows them in proportion. A value that the other spots and the image predict stays as it is, however
    far from the mean.

    Parameters
    ----------
    values
        Centred measurements, one column per gene.
    expected
        Leave-one-out predictions; fitted values would follow the outlier.
    most_sd
        Limit, in root mean square errors of the gene.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.array([[10.0], [-1.0], [1.0], [-1.0], [1.0], [0.0]])
    >>> winsorised(values, np.zeros((6, 1)), 1.5).ravel().round(2).tolist()
    [5.2, -2.04, -0.04, -2.04, -0.04, -1.04]
    """
    error = values - expected
    limit = most_sd * np.sqrt((error**2).mean(axis=0))
    result = expected + np.clip(error, -limit, limit, out=error)
    return np.asarray(result - result.mean(axis=0))
