"""Seeds of random numbers: their range, and the smaller range of scikit-learn."""

from __future__ import annotations

from numbers import Integral

from histosge.errors import UsageError

__all__ = ["refuse_seed", "seed_of_32_bits"]

# the largest that NumPy, PyTorch and a signed integer of HDF5 and JSON all hold
_LARGEST = 2**63 - 1


def refuse_seed(seed: object) -> None:
    """Refuse a seed that is not a whole number from 0 to 2^63-1.

    Raises
    ------
    UsageError
        For any other.

    Examples
    --------
    >>> refuse_seed(7)
    """
    whole = isinstance(seed, Integral) and not isinstance(seed, bool)
    if not whole or not 0 <= int(seed) <= _LARGEST:  # type: ignore[call-overload]
        raise UsageError(f"`seed` must be a whole number from 0 to 2^63-1, got {seed}.")


def seed_of_32_bits(seed: int) -> int:
    """Return a seed that scikit-learn takes; seeds below 2^32 stay as they are."""
    return seed % 2**32
