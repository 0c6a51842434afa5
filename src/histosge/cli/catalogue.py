"""What there is, as tables."""

from __future__ import annotations

from histosge.errors import UsageError

__all__ = ["catalogue"]

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]


def catalogue(kind: str) -> Table:
    """Return the columns and rows of a table of encoders, models, readers, metrics, data sets or ways to find domains.

    Raises
    ------
    UsageError
        For any other kind.
    """
    tables = {
        "encoders": _encoders,
        "models": _models,
        "readers": _readers,
        "metrics": _metrics,
        "datasets": _datasets,
        "domains": _domains,
    }
    if kind not in tables:
        raise UsageError(f"Expected {', '.join(tables)}; got '{kind}'.")
    return tables[kind]()


def _encoders() -> Table:
    from histosge.encoders import ENCODERS

    rows: list[tuple[str, ...]] = []
    for name, entry in ENCODERS.items():
        card = entry.card
        views = ", ".join(f"{view.size_um:g}" for view in card.views)
        access = "needs permission" if card.gated else ("download" if card.source else "built in")
        rows.append((name, str(card.dim), views, access, card.licence, card.summary))
    return ("name", "dim", "view µm", "weights", "licence", "summary"), rows


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
        (name, each.title, str(each.spots), each.patient, each.licence, each.note)
        for name, each in PUBLIC.items()
    ]
    return ("name", "section", "spots", "donor", "licence", "note"), rows


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
