"""The command ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histosge.errors import UsageError

from .command import command
from .options import ReplyOptions, SeedOptions
from .screen import print_result

if TYPE_CHECKING:
    from histosge.io.export import ExportResult

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
    to: Annotated[str, typer.Option(help="Format: {formats}.")] = "h5ad",
    conserve: Annotated[
        str | None,
        typer.Option(
            help="Also counts that add up to those measured at each spot: real, rounded or drawn (h5ad)."
        ),
    ] = None,
    background: Annotated[
        float | None,
        typer.Option(
            help="With --conserve at cells: molecules per area between cells, relative to those inside; 0.5."
        ),
    ] = None,
) -> None:
    """Write any genes of a run for other tools; nothing but the run's own folder is needed."""
    from histosge.io.export import export as export_genes

    if seed_options.seed and conserve != "drawn":
        raise UsageError("`seed` would draw nothing here. It belongs to `conserve` drawn; leave it out.")
    if background is not None and conserve is None:
        raise UsageError("`background` divides counts, and none are asked for. It belongs to `conserve`.")
    chosen = {} if background is None else {"background": background}
    result = export_genes(
        source, out, genes=genes, to=to, conserve=conserve, seed=seed_options.seed, **chosen
    )
    print_result(result.as_dict(), as_json=reply_options.json, lines=_lines(result))


def _lines(result: ExportResult) -> list[str]:
    lines = [f"{result.locations} locations × {len(result.genes)} genes in {result.path}"]
    if result.missing_genes:
        lines.append(f"  not predicted, and left out: {', '.join(result.missing_genes)}")
    if (counts := result.conserved) and counts.counts_between_cells is not None:
        held = "uns['conserved_background']" if result.format == "h5ad" else "between_cells.h5"
        lines.append(
            f"  {counts.counts} counts allocated to cells; {counts.counts_between_cells} left between the cells of the "
            f"spots, in {held}"
        )
    elif counts:
        lines.append(
            f"  {counts.counts} counts allocated; {counts.counts_without_location} left out at "
            f"{counts.spots_without_location} spots without a location"
        )
    return lines
