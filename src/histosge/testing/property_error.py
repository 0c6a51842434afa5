"""The error of a property that does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from histosge.errors import HistosgeError

__all__ = ["PropertyError", "expect", "in_a_sentence", "naming"]


class PropertyError(AssertionError):
    """A property that an encoder, a model, a reader or a writer must have does not hold.

    Parameters
    ----------
    subject
        What was checked.
    sentence
        The property, in words.
    got
        What was seen instead.
    """

    def __init__(self, subject: str, sentence: str, got: str) -> None:
        super().__init__(f"'{subject}': {sentence} Got: {got}")
        self.subject, self.sentence, self.got = subject, sentence, got


def expect(condition: object, subject: str, sentence: str, got: object) -> None:
    """Raise a :class:`PropertyError` unless the condition holds.

    Raises
    ------
    PropertyError
        With the property and what was seen.
    """
    # NumPy's own booleans are no bool
    if not bool(condition):
        raise PropertyError(subject, sentence, str(got))


@contextmanager
def naming(subject: str, sentence: str) -> Iterator[None]:
    """Turn any error of the block into a :class:`PropertyError` with the property.

    Raises
    ------
    PropertyError
        With the property and the error.
    """
    try:
        yield
    except PropertyError:
        raise
    except Exception as error:
        raise PropertyError(subject, sentence, f"{type(error).__name__}: {error}") from error


def in_a_sentence(subject: str, action: Callable[[], object], *, when: str, must_fail: bool = False) -> None:
    """Refuse any error of an action that is not one sentence of a :class:`~histosge.errors.HistosgeError`.

    Raises
    ------
    PropertyError
        For another kind of error, one of several lines, and, where it must fail, for none.
    """
    sentence = f"{when}, an error is a HistosgeError of one line."
    try:
        action()
    except HistosgeError as error:
        expect("\n" not in str(error) and str(error).strip(), subject, sentence, repr(str(error)))
        return
    except Exception as error:
        raise PropertyError(subject, sentence, f"{type(error).__name__}: {error}") from error
    expect(not must_fail, subject, sentence, "no error")
