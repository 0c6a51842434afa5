"""Everything that can go wrong for a user, as sentences.

    HistosgeError
    ├── UsageError    exit 2   what was asked cannot be done: a wrong option, a missing path, an unknown name
    ├── DataError     exit 3   the data are damaged or do not belong together
    │   └── OutputError        the results could not be written
    └── WeightsError  exit 4   a model's weights are missing, gated or of the wrong shape

Each message says what was expected, what was found, and what to do about it.
"""

from __future__ import annotations

__all__ = [
    "DataError",
    "HistosgeError",
    "HistosgeWarning",
    "OutputError",
    "UsageError",
    "WeightsError",
    "refuse_nonpositive",
]

# what sizes of arrays and layers can be, as 32-bit integers
_MOST = 2**31 - 1


class HistosgeError(Exception):
    """A problem that the user can understand and act on; the message is a sentence for them."""

    exit_code: int = 1


class UsageError(HistosgeError):
    """What was asked cannot be done: a wrong option, a missing path, an unknown name."""

    exit_code = 2


class DataError(HistosgeError):
    """The data are damaged, incomplete, or do not belong together."""

    exit_code = 3


class OutputError(DataError):
    """The results could not be written: a full disk, a folder without permission."""


class WeightsError(HistosgeError):
    """An encoder's or a network's weights are missing, gated or of the wrong shape."""

    exit_code = 4


class HistosgeWarning(UserWarning):
    """Something about the data that a careful user would want to know."""


def refuse_nonpositive(options: object, *names: str) -> None:
    """Refuse options that count something and are less than 1, or more than arrays can have.

    Raises
    ------
    UsageError
        For the first of ``names``, attributes of ``options``, that is.
    """
    for name in names:
        if getattr(options, name) < 1:
            raise UsageError(f"`{name}` must be 1 or more, got {getattr(options, name)}.")
        if getattr(options, name) > _MOST:
            raise UsageError(f"`{name}` must be at most {_MOST}, got {getattr(options, name)}.")
