"""The command ``doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .command import command
from .options import ReadOptions, ReplyOptions
from .screen import print_result, print_table

__all__ = ["doctor"]


@command("Help")
def doctor(
    read_options: ReadOptions,
    reply_options: ReplyOptions,
    section: Annotated[Path | None, typer.Argument(metavar="[SECTION]", help="A section to examine.")] = None,
    cells: Annotated[
        Path | None,
        typer.Option(
            help="Cells of the section to examine: a file or folder of `histosge list cell-sources`.",
            rich_help_panel="Locations",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for a picture of the spots on the image.", rich_help_panel="Output"),
    ] = None,
) -> None:
    """Check a section, whether its image matches its coordinates, the installation and the encoders' weights."""
    from histosge.workflow.doctor import doctor as check

    checks = check(
        section,
        image=read_options.image,
        mpp=read_options.mpp,
        reader=read_options.reader,
        bin_um=read_options.bin_um,
        library_id=read_options.library_id,
        cells=cells,
        out=out,
    )
    if reply_options.json:
        print_result({"checks": [check.as_dict() for check in checks]}, as_json=True, lines=())
    else:
        rows = [(check.name, check.verdict, check.finding) for check in checks]
        print_table("histosge doctor", ("check", "", "finding"), rows)
    if any(check.verdict == "bad" for check in checks):
        raise SystemExit(3)
