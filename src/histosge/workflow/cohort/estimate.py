"""What a cohort will cost: memory and time, from the size of its sections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Estimate", "estimate"]

# measured with `histosge cohort` on the sections of docs/cluster.md with texture and cokriging, one core; other
# encoders and models cost more, which the estimate says
_BASE_BYTES, _BASE_S = 1.3e9, 10.0
_BYTES_PER_COUNT, _BYTES_PER_SPOT2, _BYTES_PER_LOCATION = 40.0, 40.0, 2.0e4
_S_PER_SPOT, _S_PER_LOCATION = 4.0e-3, 8.0e-4
# more spots than this are fitted by inducing points
_MOST_SPOTS = 4000


@dataclass(frozen=True, slots=True)
class Estimate:
    """Memory of one process and seconds of one core for a section; true within a factor of about two.

    Parameters
    ----------
    memory_bytes, seconds
        Of one section alone, with the encoder ``texture`` and the model ``cokriging``.
    """

    memory_bytes: float
    seconds: float


def estimate(properties: Mapping[str, Any], *, fitted_spots: int | None = None) -> Estimate:
    """Return what a section will cost.

    Parameters
    ----------
    properties
        Of its check: ``spots``, ``counts``, ``locations``.
    fitted_spots
        Spots of all sections of its fit; by default its own.

    Examples
    --------
    >>> small, large = (estimate({"spots": n, "counts": 500 * n, "locations": 4 * n}) for n in (100, 4000))
    >>> small.seconds < large.seconds and small.memory_bytes < large.memory_bytes
    True
    """
    spots = properties["spots"] if fitted_spots is None else fitted_spots
    dense = min(spots, _MOST_SPOTS) ** 2
    memory = _BASE_BYTES + _BYTES_PER_COUNT * properties["counts"] + _BYTES_PER_SPOT2 * dense
    memory += _BYTES_PER_LOCATION * min(properties["locations"], 20_000)
    return Estimate(memory, _BASE_S + _S_PER_SPOT * spots + _S_PER_LOCATION * properties["locations"])
