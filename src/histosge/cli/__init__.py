"""The command ``histosge``."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    from . import dividing

    dividing.app()
