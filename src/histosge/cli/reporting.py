"""The command ``report``: a page to look at a run with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import app
from .screen import answer, errors_as_sentences, show_messages

__all__ = ["app", "report"]


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The --out of a `histosge run`.")],
    section: Annotated[
        Path | None,
        typer.Option(help="What the run was given: adds the image in its own resolution, and all counts."),
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="Its full-resolution image, as the run was given.")
    ] = None,
    mpp: Annotated[float | None, typer.Option(help="µm per full-resolution pixel, as for the run.")] = None,
    gene: Annotated[str | None, typer.Option(help="The gene to open with.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write DIR/report.html: one file to look at tissue and genes with; opens from disk, without network."""
    with errors_as_sentences(as_json=json):
        from histosge.errors import UsageError
        from histosge.io.readers import read
        from histosge.report import write

        if section is None and (image is not None or mpp is not None):
            raise UsageError("--image and --mpp belong to a section: give it with --section.")
        found = None if section is None else read(section, image=image, mpp=mpp)
        if found is not None:
            show_messages(found.messages)
        path = write(folder, section=found, first=gene)
        size = path.stat().st_size
        answer({"report": str(path), "bytes": size}, as_json=json, lines=[f"{path}  {size / 1e6:.1f} MB"])
