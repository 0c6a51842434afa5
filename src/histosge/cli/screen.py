"""Output to the terminal: progress and messages on standard error, results on standard output."""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from histosge._runtime.messages import Message
from histosge.errors import HistosgeError

__all__ = ["Progress", "errors_as_sentences", "print_result", "print_table", "progress_bars", "show_messages"]


@runtime_checkable
class Progress(Protocol):
    """Marks the parameter of a command that is given a callback ``(done, total, text)`` for progress."""

    def __call__(self, done: int, total: int, text: str) -> None:
        """Show how far a stage has come."""


# columns of a table that goes into a file
_PAGE = 132


def print_result(record: dict[str, Any], *, as_json: bool, lines: Sequence[str]) -> None:
    """Print the record as JSON, or some lines for people."""
    if as_json:
        sys.stdout.write(json.dumps(record, indent=2) + "\n")
        return
    console = Console(soft_wrap=True, highlight=False)
    for line in lines:
        console.print(line)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    grid = Table(title=title, title_justify="left")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    screen = Console()
    # a file has no edge to wrap at
    (screen if screen.is_terminal else Console(width=_PAGE)).print(grid)


def show_messages(messages: Sequence[Message]) -> None:
    """Print what was noticed, on standard error."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for message in messages:
        mark = "[yellow]warning:[/yellow] " if message.level == "warning" else "[dim]·[/dim] "
        console.print(mark, end="")
        console.print(message.text, markup=False)


@contextmanager
def progress_bars() -> Iterator[Any]:
    """Yield a ``progress(done, total, text)`` that draws one bar a stage on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def progress(done: int, total: int, text: str) -> None:
            # one bar a stage: "3 of 6 · image features · texture" goes on in the bar of "3 of 6 · image features"
            stage = " · ".join(text.split(" · ")[:2])
            if stage not in tasks:
                tasks[stage] = bars.add_task(text, total=total)
            bars.update(tasks[stage], description=text, completed=done, total=total)

        yield progress


@contextmanager
def errors_as_sentences(*, as_json: bool, translate: Callable[[str], str] = str) -> Iterator[None]:
    """End the process with one sentence and the error's exit code instead of a traceback.

    Only the command line catches everything: what is not a :class:`HistosgeError` is a defect of
    ours; its traceback goes into a file that can be attached to a report.
    """
    try:
        with warnings.catch_warnings():
            # messages are printed as such; other warnings are for programmers
            warnings.simplefilter("ignore")
            yield
    except HistosgeError as error:
        _fail(translate(str(error)), error.exit_code, as_json=as_json)
    except MemoryError:
        _fail(
            "The memory is full. Ask for fewer locations (--upsample, --spacing-um) or genes.",
            1,
            as_json=as_json,
        )
    except KeyboardInterrupt:
        _fail("Interrupted. The same command goes on where it stopped.", 130, as_json=as_json)
    except Exception:
        with tempfile.NamedTemporaryFile("w", prefix="histosge-", suffix=".log", delete=False) as log:
            traceback.print_exc(file=log)
        text = f"Something unexpected happened, which is a defect of histosge. The details are in {Path(log.name)}."
        _fail(text, 1, as_json=as_json)


def _fail(text: str, exit_code: int, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"error": text, "exit_code": exit_code}) + "\n")
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print("[red]error:[/red] ", end="")
    console.print(text, markup=False)
    raise SystemExit(exit_code)
