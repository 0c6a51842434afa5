"""The command that brings genes of a run into other tools: ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import app
from .screen import answer, errors_as_sentences

__all__ = ["export"]


@app.command()
def export(
    source: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="Folder of a run, or its factors.h5ad.")],
    out: Annotated[Path, typer.Option(help="File or folder to write.")],
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
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write any genes of a run for other tools; nothing but the run's own folder is needed."""
    with errors_as_sentences(as_json=json):
        from histosge.io.export import Conserved
        from histosge.io.export import export as export_genes

        conserved = None if conserve is None else Conserved(conserve, seed)
        record = export_genes(source, out, genes=genes, to=to, conserved=conserved)
        lines = [f"{record['places']} places × {len(record['genes'])} genes in {record['file']}"]
        if record["absent"]:
            lines.append(f"  not predicted, and left out: {', '.join(record['absent'])}")
        kept = record.get("conserved")
        if kept:
            lines.append(
                f"  {kept['counts']} counts shared out; {kept['counts_without_place']} left out at "
                f"{kept['spots_without_place']} spots that no place belongs to"
            )
        answer(record, as_json=json, lines=lines)
