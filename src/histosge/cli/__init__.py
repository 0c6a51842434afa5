"""The command line: one file a command, named for it, found by its folder."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typer import Typer

__all__ = ["commands", "main"]


def commands() -> Typer:
    """Return the application with all its commands."""
    from .application import application

    return application()


def main() -> None:
    """Run the command line."""
    from .interruption import interruptible

    # imports take a moment, in which Ctrl-C may be pressed
    with interruptible():
        from .application import application

        application(sys.argv[1:])()
