"""Check the documents: links lead somewhere, Python compiles, commands have the options they are shown with.

    python docs/check.py [--write]

What it takes to build the site is checked by building it (``sphinx-build -W``): references, notebooks, pages that no
list names. This looks at what Sphinx does not: README and its like, and what is between the fences.

``--write`` brings the table of encoders up to date with their cards; without it, a difference is a fault.
"""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from typer.main import get_command

from histosge.cli import commands as all_commands
from histosge.encoders import ENCODERS

ROOT = Path(__file__).parents[1]
ENCODERS_PAGE = ROOT / "docs" / "encoders.md"


def main() -> int:
    written = ROOT / "docs" / "api" / "rooms", ROOT / "docs" / "_build"
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    pages = [page for page in pages if not set(written) & set(page.parents)]
    if "--write" in sys.argv:
        ENCODERS_PAGE.write_text(with_table(ENCODERS_PAGE.read_text()))
    faults = [fault for page in pages for fault in (*links(page), *python(page), *commands(page))]
    if ENCODERS_PAGE.read_text() != with_table(ENCODERS_PAGE.read_text()):
        faults.append("encoders.md: the table is not that of the cards; run `python docs/check.py --write`")
    print("\n".join(faults) or f"{len(pages)} documents are in order")
    return 1 if faults else 0


def links(page: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target and not (page.parent / target).exists():
            yield f"{page.name}: no such file: {target}"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def python(page: Path) -> Iterator[str]:
    for block in blocks(page, "python"):
        try:
            ast.parse(block)
        except SyntaxError as error:
            yield f"{page.name}: {error}"


def commands(page: Path) -> Iterator[str]:
    known = get_command(all_commands()).commands  # type: ignore[attr-defined]
    for line in "".join(blocks(page, "bash")).splitlines():
        words = shlex.split(line, comments=True)
        if not words or words[0] != "histosge":
            continue
        if words[1] not in known:
            yield f"{page.name}: no such command: {line}"
            continue
        options = {option for item in known[words[1]].params for option in (*item.opts, *item.secondary_opts)}
        yield from (
            f"{page.name}: no {word} in: {line}"
            for word in words
            if word.startswith("--") and word not in options
        )


def with_table(text: str) -> str:
    """Return a page with the table between its marks made from the encoders' cards."""
    lines = ["| name | numbers | views | weights | licence | |", "|---|---|---|---|---|---|"]
    for name, entry in ENCODERS.items():
        card = entry.card
        sizes = ", ".join(f"{view.size_um:g}" for view in card.views)
        views = f"{sizes} µm at {' or '.join(dict.fromkeys(str(view.px) for view in card.views))} px"
        source = (
            "none needed"
            if card.source is None
            else f"`{card.source}`" + (" (ask for access)" if card.gated else "")
        )
        lines.append(f"| `{name}` | {card.dim} | {views} | {source} | {card.licence} | {card.summary} |")
    table = "<!-- table -->\n" + "\n".join(lines) + "\n<!-- end -->"
    return re.sub(r"<!-- table -->.*?<!-- end -->", lambda _: table, text, flags=re.DOTALL)


if __name__ == "__main__":
    sys.exit(main())
