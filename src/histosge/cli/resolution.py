"""The command ``resolution``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histosge.errors import UsageError

from .command import command
from .options import ComputeOptions, FitOptions, Out, ReadOptions, ReplyOptions, SectionOptions, words
from .recipe import name_unused_of_fit
from .screen import Progress, print_result

__all__ = ["resolution"]


@command("Use results")
def resolution(
    section_options: SectionOptions,
    read_options: ReadOptions,
    fit_options: FitOptions,
    compute_options: ComputeOptions,
    reply_options: ReplyOptions,
    progress: Progress,
    genes: Annotated[
        str | None, typer.Option(help="Separated by commas; by default all fitted genes.")
    ] = None,
    widths_um: Annotated[
        str, typer.Option(help="Diameters of the disks in µm, separated by commas.")
    ] = "10,25,50,100,200,400",
    maps: Annotated[
        str | None,
        typer.Option(help="Genes, separated by commas, whose width at each location is drawn and tabulated."),
    ] = None,
    out: Out = Path("histosge-resolution"),
) -> None:
    """Say for each gene at which width its mean expression over a disk is known."""
    from histosge.workflow.effective_resolution import effective_resolution
    from histosge.workflow.resolution_table import (
        mapped_locations,
        refuse_overwriting,
        write_maps,
        write_table,
    )
    from histosge.workflow.saved_fit import load_fit

    section = read_options.read(section_options.section)
    name_unused_of_fit(fit_options, compute_options)
    refuse_overwriting(out, section)
    compute = compute_options.compute(fit_options.weights, progress)
    fit = load_fit(section, fit_options.fit / "fit", compute=compute)
    widths = _numbers(widths_um)
    chosen = None if genes is None else words(genes)
    drawn = [] if maps is None else words(maps)
    locations = mapped_locations(section) if drawn else None
    chosen = tuple(dict.fromkeys([*(fit.genes.tolist() if chosen is None else chosen), *drawn]))
    result = effective_resolution(
        fit, section, chosen, locations=locations, widths_um=widths, compute=compute
    )
    paths = [write_table(result, out)]
    if drawn:
        paths += write_maps(result, out, section=section, genes=drawn)
    record = {
        "genes": len(result.genes),
        "known_at_um": result.known_at_um(),
        "files": [path.name for path in paths],
    }
    lines = [
        f"{number} of {len(result.genes)} genes are known at {width:g} µm"
        for width, number in result.known_at_um().items()
    ]
    print_result(record, as_json=reply_options.json, lines=[*lines, *map(str, paths)])


def _numbers(widths_um: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in words(widths_um))
    except ValueError:
        raise UsageError(f"Expected `widths_um` as numbers separated by commas, got '{widths_um}'.") from None
