"""The command ``list``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from histosge.errors import UsageError

from .command import command
from .options import ReplyOptions
from .screen import print_result, print_table

__all__ = ["list_", "listing"]

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]


@command("Help", name="list")
def list_(
    reply_options: ReplyOptions,
    kind: Annotated[
        str | None,
        typer.Argument(
            help="encoders, models, readers, writers, metrics, datasets, domains, cell-sources or segmenters; without "
            "it all of them."
        ),
    ] = None,
) -> None:
    """List what is installed, plug-ins of other packages included."""
    tables = {name: listing(name) for name in (_TABLES if kind is None else (kind,))}
    if reply_options.json:
        content = {
            name: [dict(zip(header, row, strict=True)) for row in rows]
            for name, (header, rows) in tables.items()
        }
        print_result(content, as_json=True, lines=())
        return
    for name, (header, rows) in tables.items():
        print_table(name, header, rows)


def listing(kind: str) -> Table:
    """Return the header and the rows of the table of one kind.

    Raises
    ------
    UsageError
        For any other kind.
    """
    if kind not in _TABLES:
        raise UsageError(f"Expected {', '.join(_TABLES)}; got '{kind}'.")
    return _TABLES[kind]()


def _encoders() -> Table:
    from histosge.encoders import ENCODERS

    rows: list[tuple[str, ...]] = []
    for name, entry in ENCODERS.items():
        card = entry.card
        patches = ", ".join(f"{patch.size_um:g}" for patch in card.patches)
        rows.append((name, str(card.dim), patches, _access(entry), card.licence, card.summary))
    return ("name", "dim", "patch µm", "weights", "licence", "summary"), rows


def _access(entry: Any) -> str:
    """Return in a few words how to get an encoder's weights."""
    from histosge.encoders.weights import has_weights

    if not entry.reads_weights:
        return "built in"
    if has_weights(entry):
        return "on this computer"
    if entry.card.gated:
        return "needs permission"
    return "download" if entry.card.source else "absent"


def _models() -> Table:
    from histosge.models import MODELS, presets

    rows: list[tuple[str, ...]] = [
        (name, ", ".join(presets(name)), model.card.summary) for name, model in MODELS.items()
    ]
    return ("name", "presets", "summary"), rows


def _metrics() -> Table:
    from histosge.metrics import METRICS

    rows: list[tuple[str, ...]] = [
        (name, metric.card.better, ", ".join(metric.card.sets), metric.card.summary)
        for name, metric in METRICS.items()
    ]
    return ("name", "better", "sets", "summary"), rows


def _datasets() -> Table:
    from histosge.datasets.public import PUBLIC

    rows: list[tuple[str, ...]] = [
        (name, dataset.title, str(dataset.spots), dataset.patient, dataset.licence, dataset.caveat)
        for name, dataset in PUBLIC.items()
    ]
    return ("name", "section", "spots", "donor", "licence", "caveat"), rows


def _domains() -> Table:
    from histosge.domains import DOMAINS

    rows: list[tuple[str, ...]] = []
    for name, method in DOMAINS.items():
        card = method.card
        number = "finds it" if card.finds_number else "--clusters"
        rows.append((name, "yes" if card.uses_position else "no", number, card.summary))
    return ("name", "uses position", "number", "summary"), rows


def _readers() -> Table:
    from histosge.io.readers import READERS

    rows: list[tuple[str, ...]] = [(name, reader.summary) for name, reader in READERS.items()]
    return ("name", "reads"), rows


def _writers() -> Table:
    from histosge.io.writers import WRITERS

    rows: list[tuple[str, ...]] = [(name, writer.suffix, writer.summary) for name, writer in WRITERS.items()]
    return ("name", "suffix", "writes"), rows


def _cell_sources() -> Table:
    from histosge.segmentation.sources import CELL_SOURCES

    rows: list[tuple[str, ...]] = [(name, source.summary) for name, source in CELL_SOURCES.items()]
    return ("name", "reads"), rows


def _segmenters() -> Table:
    from histosge.segmentation.segmenters import SEGMENTERS

    rows: list[tuple[str, ...]] = []
    for name, segmenter in SEGMENTERS.items():
        card = segmenter.card
        state = "built in" if not card.package else "installed" if card.installed else "not installed"
        rows.append((name, state, f"{card.coarsest_mpp:g}", card.licence, card.summary))
    return ("name", "package", "coarsest µm per pixel", "licence", "summary"), rows


_TABLES = {
    "encoders": _encoders,
    "models": _models,
    "readers": _readers,
    "writers": _writers,
    "metrics": _metrics,
    "datasets": _datasets,
    "domains": _domains,
    "cell-sources": _cell_sources,
    "segmenters": _segmenters,
}
