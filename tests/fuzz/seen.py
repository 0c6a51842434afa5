"""What a command or a reader did with an input: exit code, what it printed, its result, what it left behind."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "Seen",
    "TimeLimit",
    "files_under",
    "of_command",
    "of_function",
    "parts_of_section",
]

_LOG = re.compile(r"The details are in (\S+\.log)")


class TimeLimit(BaseException):
    """Raised in a mutation that takes too long; no handler of the package catches it."""


@dataclass
class Seen:
    """The outcome of one call.

    Parameters
    ----------
    code
        Exit code; 0 is success.
    said
        What was printed on standard error.
    parts
        The result by names: arrays, numbers, text.
    messages
        What the reader noticed.
    trace
        A traceback, where something unexpected happened.
    """

    code: int = 0
    said: str = ""
    parts: dict[str, Any] = field(default_factory=dict)
    messages: tuple[str, ...] = ()
    trace: str = ""


@cache
def _application() -> Any:
    from histosge.cli.application import application

    return application()


def of_command(*arguments: str | Path) -> Seen:
    """Run a command line in this process."""
    return _called(lambda: _application()([str(argument) for argument in arguments], standalone_mode=True))


def of_function(function: Callable[[], tuple[dict[str, Any], tuple[str, ...]]]) -> Seen:
    """Call a function as commands are called: errors become sentences; it returns its parts and messages."""
    from histosge.cli.screen import errors_as_sentences

    result: list[tuple[dict[str, Any], tuple[str, ...]]] = []

    def call() -> None:
        with errors_as_sentences(as_json=False):
            result.append(function())

    seen = _called(call)
    if result:
        seen.parts, seen.messages = result[0]
    return seen


def _called(call: Callable[[], None]) -> Seen:
    out, err = io.StringIO(), io.StringIO()
    seen = Seen()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        _without_warnings(),
    ):
        try:
            call()
        except SystemExit as end:
            seen.code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except Exception:
            seen.code, seen.trace = 1, traceback.format_exc()
    seen.said = err.getvalue()
    if log := _LOG.search(seen.said):
        path = Path(log.group(1))
        if path.is_file():
            seen.trace = path.read_text(errors="replace")
            path.unlink()
    return seen


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def parts_of_section(section: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what a section says of its tissue, and the reader's messages."""
    parts = {
        "ids": [str(name) for name in section.spots.ids],
        "genes": [str(name) for name in section.genes],
        "gene_ids": [str(name) for name in section.gene_ids],
        "counts": section.counts.toarray().astype(np.float64),
        "xy_px": np.asarray(section.spots.xy) / section.mpp,
        "lattice_xy": np.asarray(section.lattice_xy),
        "scale": np.array([section.mpp, section.pitch_um]),
        "diameter": section.spots.diameter_um,
        "image": None,
    }
    if section.slide is not None:
        pixels = section.slide.thumbnail(
            section.slide.mpp * max(1, max(section.slide.backend.shapes[0]) / 400)
        )
        parts["image"] = np.array([*section.slide.backend.shapes[0], section.slide.mpp / section.mpp])
        parts["pixels"] = pixels
    return parts, tuple(f"{message.level}: {message.text}" for message in section.messages)


def files_under(*folders: Path) -> set[str]:
    """Return every file and folder below some folders."""
    found = set()
    for folder in folders:
        for root, names, files in os.walk(folder):
            found |= {os.path.join(root, name) for name in (*names, *files)}
    return found


def temporary() -> Path:
    """Return the folder of temporary files."""
    return Path(tempfile.gettempdir())
