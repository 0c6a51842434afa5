"""The command line: one file a command, named for it, found by its folder."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typer import Typer

__all__ = ["commands", "main"]

# new objects between two searches for cycles
_OBJECTS = 50_000


def commands() -> Typer:
    """Return the application with all its commands."""
    from .application import application

    return application()


def main() -> None:
    """Run the command line."""
    import gc

    from .interruption import interruptible

    # imports make many objects that live as long as the process: a search for cycles among them takes a tenth of it
    gc.set_threshold(_OBJECTS)
    # imports take a moment, in which Ctrl-C may be pressed
    with interruptible():
        from .application import application

        application(sys.argv[1:])()
