"""The command ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .command import command
from .options import ReplyOptions, SeedOptions
from .screen import print_result

__all__ = ["export"]


@command("Use results")
def export(
    seed_options: SeedOptions,
    reply_options: ReplyOptions,
    source: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="Folder of a run, or its factors.h5ad.")],
    out: Annotated[Path, typer.Option(help="File or folder to write.", rich_help_panel="Output")],
    genes: Annotated[
        str, typer.Option(help="Names separated by commas, a FILE with one a line, or all.")
    ] = "all",
    to: Annotated[str, typer.Option(help="h5ad, spatialdata, omezarr or geojson.")] = "h5ad",
    conserve: Annotated[
        str | None,
        typer.Option(
            help="Also counts that add up to those measured at each spot: real, rounded or drawn (h5ad)."
        ),
    ] = None,
) -> None:
    """Write any genes of a run for other tools; nothing but the run's own folder is needed."""
    from histosge.io.export import Conserved
    from histosge.io.export import export as export_genes

    conserved = None if conserve is None else Conserved(conserve, seed_options.seed)
    record = export_genes(source, out, genes=genes, to=to, conserved=conserved)
    print_result(record, as_json=reply_options.json, lines=_lines(record))


def _lines(record: dict[str, Any]) -> list[str]:
    lines = [f"{record['places']} locations × {len(record['genes'])} genes in {record['file']}"]
    if record["absent"]:
        lines.append(f"  not predicted, and left out: {', '.join(record['absent'])}")
    if allocated := record.get("conserved"):
        lines.append(
            f"  {allocated['counts']} counts allocated; {allocated['counts_without_place']} left out at "
            f"{allocated['spots_without_place']} spots that no location belongs to"
        )
    return lines
