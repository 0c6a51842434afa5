"""The tables of the documentation that follow from the code: each is a function that returns Markdown."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import histosge as hs
from histosge.encoders import ENCODERS
from histosge.io.readers import READERS
from histosge.io.writers import WRITERS
from histosge.segmentation.measure import MEASUREMENTS
from histosge.segmentation.segmenters import SEGMENTERS
from histosge.segmentation.sources import CELL_SOURCES

DOCS = Path(__file__).parent


def markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    head = list(head)
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def encoders() -> str:
    """Return the table of encoders, from their cards."""
    head = ("name", "features", "patches", "weights", "licence", "description")
    return markdown(head, (_encoder(name, entry.card) for name, entry in ENCODERS.items()))


def _encoder(name: str, card: object) -> tuple[str, ...]:
    patches = card.patches
    sizes = ", ".join(f"{patch.size_um:g}" for patch in patches)
    pixels = " or ".join(dict.fromkeys(str(patch.px) for patch in patches))
    weights = "none needed" if card.source is None else f"`{card.source}`" + " (ask for access)" * card.gated
    return f"`{name}`", str(card.dim), f"{sizes} µm at {pixels} px", weights, card.licence, card.summary


def readers() -> str:
    """Return the formats that can be read."""
    return markdown(
        ("`--reader`", "what is read"), ((f"`{name}`", reader.summary) for name, reader in READERS.items())
    )


def cell_sources() -> str:
    """Return the layouts of cells that can be read."""
    rows = ((f"`{name}`", source.summary) for name, source in CELL_SOURCES.items())
    return markdown(("source", "what is read"), rows)


def segmenters() -> str:
    """Return what finds nuclei in the image."""
    head = ("name", "weights", "µm per pixel, at most", "licence", "how")
    cards = (segmenter.card for segmenter in SEGMENTERS.values())
    rows = (
        (f"`{card.name}`", card.weights or "none", f"{card.coarsest_mpp:g}", card.licence, card.summary)
        for card in cards
    )
    return markdown(head, rows)


def measurements() -> str:
    """Return what is measured of each cell."""
    return markdown(
        ("measurement", "what it is"), ((f"`{name}`", words) for name, words in MEASUREMENTS.items())
    )


def writers() -> str:
    """Return the formats that can be written."""
    head = ("`--also`, `--to`", "name in `--out`", "genes", "needs", "content")
    return markdown(head, (_writer(name, writer) for name, writer in WRITERS.items()))


def _writer(name: str, writer: object) -> tuple[str, ...]:
    needs = f"`histosge[{writer.needs_extra}]`" if writer.needs_extra else ""
    genes = "all" if writer.all_genes else "those of `--show`"
    return f"`{name}`", f"`{writer.filename}`", genes, needs, writer.summary


def floors() -> str:
    """Return the floors of the package, lowest first, from floors.toml."""
    floors = tomllib.loads((DOCS / "floors.toml").read_text(encoding="utf-8"))["floor"]
    rows = (
        (str(number), " ".join(f"`{room}`" for room in floor["rooms"]), floor["holds"])
        for number, floor in enumerate(floors)
    )
    return markdown(("floor", "rooms", "content"), rows)


def benchmarks() -> str:
    """Return the scripts in benchmarks/ with the first line of their docstrings."""
    scripts = sorted((DOCS.parent / "benchmarks").glob("*.py"))
    return markdown(
        ("script in `benchmarks/`", "question"), ((f"`{path.name}`", _first_line(path)) for path in scripts)
    )


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n\n")[0].replace("\n", " ").replace("``", "`")


def api() -> str:
    """Return the public names with the first line of their docstrings."""
    return markdown(
        ("name", "kind", "summary"), (_public(name) for name in sorted(hs.__all__, key=str.lower))
    )


def _public(name: str) -> tuple[str, str, str]:
    value = getattr(hs, name)
    return f"`hs.{name}`", _kind(value), _summary(name, value).replace("``", "`").replace("|", "\\|")


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "registry"
    if inspect.isclass(value):
        return "exception" if issubclass(value, Exception) else "class"
    return "module" if inspect.ismodule(value) else "function" if callable(value) else "value"


def _summary(name: str, value: object) -> str:
    if isinstance(value, Mapping):
        kinds = "domain methods" if name == "DOMAINS" else name.lower()
        return f"All {kinds} by name, those of other packages included."
    if isinstance(value, str):
        return "Version of the installed package."
    first = (inspect.getdoc(value) or "").partition("\n\n")[0].replace("\n", " ")
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", first)


# name of the table, as in `<!-- table: NAME -->` of a page
TABLES: dict[str, Callable[[], str]] = {
    "api": api,
    "benchmarks": benchmarks,
    "encoders": encoders,
    "floors": floors,
    "readers": readers,
    "cell_sources": cell_sources,
    "segmenters": segmenters,
    "measurements": measurements,
    "writers": writers,
}
MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)


def with_tables(text: str) -> str:
    """Return a page whose marked tables are written anew."""
    return MARKED.sub(lambda match: match[1] + TABLES[match[2]]() + "\n" + match[3], text)
