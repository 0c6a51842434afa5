"""Output to the terminal: progress and messages on standard error, results on standard output."""

from __future__ import annotations

import json
import sys
import tempfile
import textwrap
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn, Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from histosge._runtime.messages import Message
from histosge.errors import HistosgeError

from .failures import sentence_of
from .interruption import interrupted_code, printing, was_interrupted

__all__ = [
    "Progress",
    "errors_as_sentences",
    "print_result",
    "print_table",
    "print_text",
    "progress_bars",
    "show_messages",
]


@runtime_checkable
class Progress(Protocol):
    """Marks the parameter of a command that is given a callback ``(done, total, text)`` for progress."""

    def __call__(self, done: int, total: int, text: str) -> None:
        """Show how far a stage has come."""


# letters of an error, and of its end, which names the remedy
_MOST_LETTERS, _REMEDY = 1200, 300
# columns of a table that goes into a file
_PAGE = 132
# of a column: an edge and a blank on either side
_FRAME = 3
_INTERRUPTION = "Interrupted. The same command goes on where it stopped."


def print_result(record: dict[str, Any], *, as_json: bool, lines: Sequence[str]) -> None:
    """Print the record as JSON, or some lines for people."""
    with printing():
        if as_json:
            sys.stdout.write(json.dumps(record, indent=2) + "\n")
            return
        console = Console(soft_wrap=True, highlight=False, emoji=False)
        for line in lines:
            # a path may hold square brackets, which are no markup
            console.print(line, markup=False)


def print_text(text: str) -> None:
    """Print text as it is."""
    with printing():
        sys.stdout.write(f"{text}\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; where it is wider than the terminal, headings are broken before the names of its rows are."""
    screen = Console(emoji=False)
    if not screen.is_terminal:
        # a file has no edge to wrap at
        screen = Console(width=_PAGE, emoji=False)
    cells = [[row[index] for row in rows] for index in range(len(columns))]
    widths = [max(map(len, (column, *below))) for column, below in zip(columns, cells, strict=True)]
    if sum(widths) + _FRAME * len(widths) >= screen.width:
        columns = [_broken(column, below) for column, below in zip(columns, cells, strict=True)]
    # names and paths may hold square brackets, which are no markup: a Text has none
    grid = Table(title=Text(title), title_justify="left")
    for column in columns:
        grid.add_column(Text(column), overflow="fold")
    for row in rows:
        grid.add_row(*map(Text, row))
    with printing():
        screen.print(grid)


def _broken(heading: str, cells: Sequence[str]) -> str:
    """Return a heading with line breaks at blanks, so that it is no wider than the cells below it."""
    return textwrap.fill(heading, max(1, *map(len, cells)), break_long_words=False) if cells else heading


def show_messages(messages: Sequence[Message]) -> None:
    """Print what was noticed, on standard error."""
    console = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
    for message in messages:
        mark = "[yellow]warning:[/yellow] " if message.level == "warning" else "[dim]·[/dim] "
        console.print(mark, end="")
        console.print(_translation.get()(message.text), markup=False)


class _Rate(ProgressColumn):
    """Locations a second, of image features alone: over the last half minute, and at the end over all of it."""

    def render(self, task: Task) -> Text:
        """Return the rate, once two chunks are done."""
        speed = task.finished_speed or task.speed
        if "image features" not in task.description or not speed:
            return Text("")
        return Text(f"{speed:.0f}/s" if speed >= 10 else f"{speed:.1f}/s")


@contextmanager
def progress_bars() -> Iterator[Any]:
    """Yield a ``progress(done, total, text)`` that draws one bar a stage on standard error."""
    # names of encoders and files may hold square brackets, which are no markup
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        _Rate(),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def progress(done: int, total: int, text: str) -> None:
            # one bar a stage: "3 of 6 · image features · texture" goes on in the bar of "3 of 6 · image features"
            stage = " · ".join(text.split(" · ")[:2])
            if stage not in tasks:
                tasks[stage] = bars.add_task(text, total=total)
            task = next(task for task in bars.tasks if task.id == tasks[stage])
            if text != stage and (task.description != text or done < task.completed):
                # another encoder, or other locations: time and rate begin again
                bars.reset(task.id, total=total, description=text)
            bars.update(tasks[stage], description=text, completed=done, total=total)

        yield progress


# calls parameters of the package by the options of the running command
_translation: ContextVar[Callable[[str], str]] = ContextVar("translation", default=str)


@contextmanager
def errors_as_sentences(*, as_json: bool, translate: Callable[[str], str] = str) -> Iterator[None]:
    """End the process with one sentence and the error's exit code instead of a traceback.

    Only the command line catches everything: what is not a :class:`HistosgeError` is a defect of
    ours; its traceback goes into a file that can be attached to a report.
    """
    token = _translation.set(translate)
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
        _fail(_INTERRUPTION, interrupted_code(), as_json=as_json)
    except Exception as error:
        if was_interrupted():
            _fail(_INTERRUPTION, interrupted_code(), as_json=as_json)
        text, exit_code = sentence_of(error) or (_defect(), 1)
        _fail(text, exit_code, as_json=as_json)
    finally:
        _translation.reset(token)


def _defect() -> str:
    """Write the traceback into a file that can be attached to a report, and return a sentence that names it."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="histosge-", suffix=".log", delete=False, errors="backslashreplace"
    ) as log:
        traceback.print_exc(file=log)
    return (
        f"Something unexpected happened, which is a defect of histosge. The details are in {Path(log.name)}."
    )


def _fail(text: str, exit_code: int, *, as_json: bool) -> NoReturn:
    # reasons of other libraries may have several lines, and quote a whole file
    text = " ".join(line.strip() for line in text.splitlines() if line.strip())
    if len(text) > _MOST_LETTERS:
        text = f"{text[: _MOST_LETTERS - _REMEDY]} … {text[-_REMEDY:]}"
    if as_json:
        with printing():
            sys.stdout.write(json.dumps({"error": text, "exit_code": exit_code}) + "\n")
    console = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
    console.print("[red]error:[/red] ", end="")
    console.print(text, markup=False)
    raise SystemExit(exit_code)
