"""Check the documents: links lead somewhere, Python compiles, commands have the options they are shown with."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from typer.main import get_command

from histosge.cli.app import app

ROOT = Path(__file__).parents[1]


def main() -> int:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    faults = [fault for page in pages for fault in (*links(page), *python(page), *commands(page))]
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
    known = get_command(app).commands  # type: ignore[attr-defined]
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


if __name__ == "__main__":
    sys.exit(main())
