"""The command ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histosge.errors import UsageError

from .command import command
from .options import ReadOptions, ReplyOptions
from .screen import print_result

__all__ = ["report"]


@command("Use results", order=0)
def report(
    read_options: ReadOptions,
    reply_options: ReplyOptions,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The --out of a `histosge run`, or of a cohort.")
    ],
    section: Annotated[
        Path | None,
        typer.Option(
            help="What the run was given: adds the image in its own resolution, and all counts.",
            rich_help_panel="Section",
        ),
    ] = None,
    gene: Annotated[str | None, typer.Option(help="The gene to open with.")] = None,
) -> None:
    """Write DIR/report.html: one file that shows tissue and genes in any browser, without network.

    Of a cohort DIR/sections.html: a gene in all sections, side by side.
    """
    from histosge.report import holds_sections, write, write_sections

    if section is None and read_options != ReadOptions():
        raise UsageError("Options of the section, such as --image and --mpp, need --section.")
    if holds_sections(folder):
        if section is not None:
            raise UsageError(f"'{folder}' is a cohort: its sections are in its folder. Leave out --section.")
        path = write_sections(folder, first=gene)
    else:
        path = write(folder, section=None if section is None else read_options.read(section), first=gene)
    size = path.stat().st_size
    print_result(
        {"report": str(path), "bytes": size},
        as_json=reply_options.json,
        lines=[f"{path}  {size / 1e6:.1f} MB"],
    )
