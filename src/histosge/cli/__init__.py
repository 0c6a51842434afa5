"""The command ``histosge``."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    # each file adds its commands to the one app
    from . import exporting, judging, reporting  # noqa: F401

    judging.app()
