"""What there is, as tables."""

from __future__ import annotations

from ._errors import UsageError

__all__ = ["catalogue"]

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]


def catalogue(kind: str) -> Table:
    """Return the columns and rows of a table of ``"encoders"``, ``"models"`` or ``"readers"``.

    Raises
    ------
    UsageError
        For any other kind.
    """
    tables = {"encoders": _encoders, "models": _models, "readers": _readers}
    if kind not in tables:
        raise UsageError(f"Expected encoders, models or readers, got '{kind}'.")
    return tables[kind]()


def _encoders() -> Table:
    from .encoders import ENCODERS

    rows: list[tuple[str, ...]] = []
    for name, entry in ENCODERS.items():
        card = entry.card
        views = ", ".join(f"{view.size_um:g}" for view in card.views)
        access = "needs permission" if card.gated else ("download" if card.source else "built in")
        rows.append((name, str(card.dim), views, access, card.licence, card.summary))
    return ("name", "dim", "view µm", "weights", "licence", "summary"), rows


def _models() -> Table:
    from .models import MODELS, presets

    rows: list[tuple[str, ...]] = [
        (name, ", ".join(presets(name)), model.card.summary) for name, model in MODELS.items()
    ]
    return ("name", "presets", "summary"), rows


def _readers() -> Table:
    from .readers import READERS

    rows: list[tuple[str, ...]] = [(name, reader.summary) for name, reader in READERS.items()]
    return ("name", "reads"), rows
