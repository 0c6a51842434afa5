"""The command ``histosge``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typer import Typer

__all__ = ["commands", "main"]


def commands() -> Typer:
    """Return the application with all its commands."""
    # each file adds its commands to the one application
    from . import dividing, exporting, judging, reporting  # noqa: F401
    from .app import app

    return app


def main() -> None:
    """Run the command line."""
    commands()()
