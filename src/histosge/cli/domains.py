"""The command ``domains``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histosge.errors import UsageError

from .command import command
from .options import DeviceOptions, Out, ReplyOptions, assignments
from .screen import Progress, print_result, show_messages

if TYPE_CHECKING:
    from histosge.workflow.domains import DomainsRecord

__all__ = ["domains"]

# of methods that depend on their seed
_SEEDS = 3


@command("Use results")
def domains(
    device_options: DeviceOptions,
    reply_options: ReplyOptions,
    progress: Progress,
    input_: Annotated[
        Path,
        typer.Argument(metavar="INPUT", help="A section, a run or its prediction.h5ad, an h5ad with counts."),
    ],
    method: Annotated[
        str | None, typer.Option(help="See `histosge list domains`; by default spatial_mixture.")
    ] = None,
    clusters: Annotated[
        int | None,
        typer.Option(help="How many domains; by default as many as --truth has, or as the method chooses."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Table of locations and annotated domains, to compare with.")
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            help="How many seeds: 0, 1, 2 … All are reported, and their consensus. By default 3, or 1 where the method "
            "is a consensus in itself."
        ),
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(help="measured or predicted; by default predicted, where there are predictions."),
    ] = None,
    genes: Annotated[
        str | None,
        typer.Option(help="Of a section: hvg:N, all, or a FILE; by default what the method takes."),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Named configuration: published.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the method.")
    ] = None,
    out: Out = Path("histosge-domains"),
) -> None:
    """Divide a tissue into spatial domains, and compare them with annotated ones."""
    from histosge._runtime.device import resolve_device
    from histosge._runtime.provenance import Stopwatch
    from histosge.domains import DEFAULT_METHOD, Divides, Runtime, build_method, find_domains
    from histosge.domains.annotation import read_annotation
    from histosge.workflow.domain_input import read_source
    from histosge.workflow.domains import refuse_overwriting, write_domains

    if seeds is not None and seeds < 1:
        raise UsageError(f"`seeds` must be 1 or more, got {seeds}.")
    refuse_overwriting(out, [input_, truth])
    watch = Stopwatch()
    configured = build_method(method or DEFAULT_METHOD, preset, **assignments(set_))
    number = seeds or (1 if isinstance(configured, Divides) else _SEEDS)
    with watch("read"):
        source = read_source(input_, values=values, genes=genes or configured.genes)
        if genes and not source.genes:
            raise UsageError("`genes` are chosen in a section; of a prediction all are taken. Leave it out.")
        annotated = None if truth is None else read_annotation(truth, source.input.ids)
    with watch("find"):
        runtime = Runtime(resolve_device(device_options.device), progress=progress)
        result = find_domains(
            source.input,
            configured,
            clusters=clusters,
            seeds=range(number),
            truth=annotated,
            runtime=runtime,
        )
    show_messages(result.messages)
    record = write_domains(result, out, image=source.image, stages=watch.stages)
    print_result(record.as_dict(), as_json=reply_options.json, lines=_lines(record, out))


def _lines(record: DomainsRecord, out: Path) -> list[str]:
    lines = [f"{record.section}, {record.values}: {record.locations} locations by {record.method}"]
    number = len(record.seeds)
    sure = "" if record.confidence is None else f", mean confidence {record.confidence:.2f}"
    lines.append(f"  {record.domains} domain{'s' * (record.domains > 1)}{sure}")
    for name, mean in record.mean.items():
        sd = record.sd[name]
        deviation = "" if sd is None else f" ± {sd:.3f}"
        lines.append(f"  {name.upper()} {mean:.3f}{deviation} over {number} seed{'s' * (number > 1)}")
    return [*lines, *(f"  {out / name}" for name in record.files)]
