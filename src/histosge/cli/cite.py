"""The command ``cite``."""

from __future__ import annotations

from typing import Annotated

import typer

from .command import command
from .screen import print_text

__all__ = ["cite"]


@command("Help")
def cite(
    names: Annotated[
        list[str] | None, typer.Argument(help="Encoders and models used; none: histosge's own.")
    ] = None,
) -> None:
    """Print the BibTeX of what was used."""
    from histosge.workflow.citation import citation

    print_text(citation(names or ()))
