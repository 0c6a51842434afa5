"""The commands ``programs build`` and ``programs show``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .command import command
from .options import ReplyOptions
from .screen import Progress, print_result, show_messages

if TYPE_CHECKING:
    from histosge.programs.gene_programs import Programs

__all__ = ["build", "show"]

# directions whose share of the variance is printed
_SHOWN = 5


@command("Predict", name="programs build", order=2)
def build(
    reply_options: ReplyOptions,
    progress: Progress,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…",
            help="An .h5ad, a table of counts (rows: spots, cells or samples), a 10x matrix, or a section.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="File for the gene programs.", rich_help_panel="Output")] = Path(
        "histosge.programs.h5"
    ),
    species: Annotated[
        str | None, typer.Option(help="human or mouse; by default the names of the genes tell.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence of the data, kept in the file.")] = "",
    source: Annotated[str, typer.Option(help="Where the data come from, kept in the file.")] = "",
) -> None:
    """Build gene programs of expression data of like tissue, without image or positions."""
    from histosge.io.own_files import refuse_inputs
    from histosge.programs.build import build as build_programs
    from histosge.programs.file import refuse_other_file, write_programs

    # before minutes of work, not after
    refuse_inputs([out], files)
    refuse_other_file(out)
    programs = build_programs(files, species=species, licence=licence, source=source, progress=progress)
    show_messages(programs.messages)
    write_programs(programs, out)
    print_result(_record(programs, out), as_json=reply_options.json, lines=[*_lines(programs), f"  {out}"])


@command("Predict", name="programs show", order=2)
def show(
    reply_options: ReplyOptions,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of `histosge programs build`.")],
) -> None:
    """Show what gene programs were built of."""
    from histosge.programs.file import read_programs

    programs = read_programs(file)
    print_result(_record(programs, file), as_json=reply_options.json, lines=_lines(programs))


def _record(programs: Programs, path: Path) -> dict[str, Any]:
    return {
        "file": str(path),
        "fingerprint": programs.fingerprint,
        "species": programs.species,
        "directions": len(programs),
        "genes": len(programs.genes),
        "profiles": programs.profiles,
        "licence": programs.licence,
        "source": programs.source,
        "variances": programs.variances.tolist(),
        "sources": [asdict(source) for source in programs.sources],
    }


def _lines(programs: Programs) -> list[str]:
    """Return what people read of gene programs."""
    varying = float((programs.directions != 0).any(axis=0).sum())
    shares = programs.variances[:_SHOWN] / max(varying, 1.0)
    lines = [
        f"{len(programs)} directions of {len(programs.genes)} genes, {programs.species or 'species unknown'}, of "
        f"{programs.profiles} profiles",
        f"  share of the variance of the first: {', '.join(f'{share:.1%}' for share in shares)}",
    ]
    lines += [
        f"  '{source.name}': {source.profiles} profiles, {source.genes} genes, median depth {source.median_depth:.0f}"
        for source in programs.sources
    ]
    further = (
        ("licence", programs.licence),
        ("source", programs.source),
        ("fingerprint", programs.fingerprint),
    )
    return [*lines, *(f"  {name}: {text}" for name, text in further if text)]
