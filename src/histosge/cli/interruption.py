"""Interruptions at any moment, and standard output that is closed or full; imports nothing that takes time."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["interrupted_code", "interruptible", "printing", "was_interrupted"]

# exit code of a process that was interrupted by Ctrl-C, as shells have it
_INTERRUPTED = 130
# exit code of a process whose output nobody reads any more, as shells have it
_CLOSED_PIPE = 141
_UNPRINTABLE = 3

_interruptions: list[int] = []
# signals that end a process, and what Python does with them
_DEFAULT = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


def was_interrupted() -> bool:
    """Whether Ctrl-C was pressed: libraries turn the exception into others of theirs while they are imported."""
    return bool(_interruptions)


def interrupted_code() -> int:
    """Return the exit code of the interruption, as shells have it: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + _interruptions[0] if _interruptions else _INTERRUPTED


@contextmanager
def interruptible() -> Iterator[None]:
    """End the process quietly for Ctrl-C and for a standard output that is closed or full, whatever runs then.

    SIGTERM, by which batch systems end a job, is taken as Ctrl-C: workers of the process are ended with it.
    """
    # in a thread, and where another program has handlers of its own, these stay
    previous = {number: signal.getsignal(number) for number in _DEFAULT}
    _complete_streams()
    output = _output()
    try:
        for number, default in _DEFAULT.items():
            if previous[number] is default:
                signal.signal(number, _interrupt)
        with printing():
            yield
    except KeyboardInterrupt:
        _complain("Interrupted. The same command goes on where it stopped.")
        raise SystemExit(interrupted_code()) from None
    except SystemExit as end:
        # Typer and rich let what follows be printed into nothing once a pipe is closed, and exit with 1
        if end.code == 1 and _output() != output:
            raise SystemExit(_CLOSED_PIPE) from None
        with printing():
            raise
    finally:
        _interruptions.clear()
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def printing() -> Iterator[None]:
    """End the process where what is printed in the ``with`` block cannot be.

    It ends quietly where nobody reads it any more, and with a sentence where the disk is full.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        raise SystemExit(_CLOSED_PIPE) from None
    except OSError as error:
        if error.filename is not None:
            raise
        _discard_output()
        _complain(f"The result could not be printed on standard output: {error.strerror}.")
        raise SystemExit(_UNPRINTABLE) from None


def _interrupt(number: int, frame: FrameType | None) -> None:
    _interruptions.append(number)
    raise KeyboardInterrupt


def _complain(text: str) -> None:
    # where standard error is full or closed too, the exit code alone is left
    with suppress(OSError):
        sys.stderr.write(f"error: {text}\n")
        sys.stderr.flush()


def _complete_streams() -> None:
    """Let any text be printed, also where a stream is closed or its encoding lacks a letter."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _output() -> tuple[int, ...]:
    """Return what identifies standard output: the stream and the file behind it."""
    with suppress(OSError, ValueError):
        status = os.fstat(sys.stdout.fileno())
        return id(sys.stdout), status.st_dev, status.st_ino
    return (id(sys.stdout),)


def _discard_output() -> None:
    """Let Python print into nothing what is left when it ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
