"""Check the documents: links, Python, public names, commands, names of files, and tables that follow from the code.

    python docs/check.py [--write]

Building the site (``sphinx-build -W``) checks references and notebooks. This script checks what Sphinx does not: README
and its like, and the blocks of code.

``--write`` brings the tables up to date; without it, a difference is a fault.
"""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from tables import with_tables
from typer.main import get_command

import histosge as hs
from histosge.cli import commands as all_commands

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Print the faults of all documents and return the exit code."""
    pages = [page for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")] if "_build" not in page.parts]
    if "--write" in sys.argv:
        for page in pages:
            page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
    checks = (links, python, names, commands, files, tables)
    faults = [
        f"{page.relative_to(ROOT)}: {fault}" for page in pages for check in checks for fault in check(page)
    ]
    print("\n".join(faults) or f"{len(pages)} documents are in order")
    return 1 if faults else 0


def links(page: Path) -> Iterator[str]:
    """Yield links to files that do not exist."""
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target and not (page.parent / target).exists():
            yield f"no such file: {target}"


def blocks(page: Path, language: str = r"\w*") -> list[str]:
    """Return the fenced blocks of a language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def python(page: Path) -> Iterator[str]:
    """Yield blocks that are not Python."""
    for block in blocks(page, "python"):
        try:
            ast.parse(block)
        except SyntaxError as error:
            yield str(error)


def names(page: Path) -> Iterator[str]:
    """Yield names of the package that are not public."""
    for name in set(re.findall(r"\bhs\.(\w+)", page.read_text(encoding="utf-8"))) - set(hs.__all__):
        yield f"no public name hs.{name}"


def commands(page: Path) -> Iterator[str]:
    """Yield commands and options that the command line does not have."""
    known = get_command(all_commands()).commands  # type: ignore[attr-defined]
    lines = [line for block in blocks(page) for line in block.splitlines() if line.startswith("histosge ")]
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[1] not in known:
            yield f"no such command: {line}"
            continue
        command = known[words[1]]
        # commands of two words
        command = getattr(command, "commands", {}).get(words[2] if len(words) > 2 else "", command)
        options = {option for item in command.params for option in (*item.opts, *item.secondary_opts)}
        yield from (
            f"no {word} in: {line}" for word in words if word.startswith("--") and word not in options
        )


def files(page: Path) -> Iterator[str]:
    """Yield scripts, plans and modules that do not exist."""
    for name in re.findall(r"[\w./]+/\w+\.(?:py|toml)\b", page.read_text(encoding="utf-8")):
        if (
            "://" not in name
            and not (ROOT / name).exists()
            and not (ROOT / "src" / "histosge" / name).exists()
        ):
            yield f"no such file: {name}"


def tables(page: Path) -> Iterator[str]:
    """Yield a fault where a table is not that of the code."""
    text = page.read_text(encoding="utf-8")
    if text != with_tables(text):
        yield "a table is out of date; run `python docs/check.py --write`"


if __name__ == "__main__":
    sys.exit(main())
