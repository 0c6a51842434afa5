"""The package, its documents and its command line speak the words of docs/glossary.md, and none of those it replaces.

``python tests/architecture/test_words.py [PATH…]`` lists what is left, by file and line.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# parts of names in code: sibling_count, SiblingCount
_REPLACED = """
    sibling siblings lender lenders eyes look looks looked looking guess guesses guessed told said remark
    remarks landmark landmarks memoriser retained removed crosscheck elsewhere fringe refine refined refinement
    nugget inflation stretch spread doubt doubts unsure answer answers surprise likeness found given wanted
    machine cook deliver borrow facts notes note pulled dealt place places site sites each one two
"""
NAMES = frozenset(_REPLACED.split())
# terms of the glossary that hold such a part
TERMS = re.compile(r"given_depth", re.IGNORECASE)
# words in sentences: docstrings, comments, messages, documents, pages
WORDS = re.compile(
    r"""\b(
    siblings?|lenders?|landmarks?|memorisers?|eyes?|crosschecks?|guess(es|ed)?|told|fringes?|offset\ class(es)?
    |refinements?|pulled\ in|believed|borne\ out|dealt|kept\ back|held\ back|held[- ]out|kept\ aside
    |removed\ spots?|retained\ spots?|likeness(es)?|doubts?|unsure|surprise|nugget\ of|remarks?
    |(?<!in\ )(?<!take\ )(?<!takes\ )(?<!decimal\ )(?<!first\ )places?
    |looks?|looked|looking|sources\ of\ pixels|memory\ of\ training
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
# what may stand there all the same
PHRASES = re.compile(r"look(ed|s)?[- ]up|in place of|nugget = |lookup", re.IGNORECASE)
FOLDERS = ("src/histosge", "benchmarks", "docs", "README.md", "CONTRIBUTING.md")
EXEMPT = ("docs/glossary.md", "vendor", "references.bib", "_build", "docs/api/generated")


def files(*paths: str) -> list[Path]:
    """Every file of the project that people read."""
    kinds = (".py", ".md", ".js", ".html", ".toml")
    every = [path for name in paths or FOLDERS for path in _under(ROOT / name)]
    return sorted(p for p in every if p.suffix in kinds and not any(part in p.as_posix() for part in EXEMPT))


def _under(path: Path) -> Iterator[Path]:
    yield from ([path] if path.is_file() else path.rglob("*"))


def old_names(path: Path) -> Iterator[tuple[int, str]]:
    """Lines and names in code that hold a replaced word."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for name in _names(node):
            parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", TERMS.sub("", name))
            if NAMES & {part.lower() for part in parts}:
                yield getattr(node, "lineno", 0), name


def _names(node: ast.AST) -> list[str]:
    """Names that a node of the syntax tree gives to something; uses of names follow from these."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return [node.attr]
    return []


def old_words(path: Path) -> Iterator[tuple[int, str]]:
    """Lines and words in sentences that the glossary replaces."""
    for number, text in _sentences(path):
        for match in WORDS.finditer(PHRASES.sub("", text)):
            yield number, match.group(0)


def _sentences(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        if path.suffix == ".js":
            text = re.sub(r"\b[a-zA-Z]*\.(replace|matches)\b", "", text)
        yield from enumerate(text.splitlines(), start=1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT):
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, line


def room_of(path: Path) -> str:
    """Return the folder of a file, down to the rooms of the package."""
    return "/".join(path.relative_to(ROOT).parts[:-1][:3])


@pytest.mark.parametrize("room", sorted({room_of(path) for path in files()}))
def test_words_are_those_of_the_glossary(room: str) -> None:
    """No name in code and no sentence uses a word that the glossary replaces."""
    broken = []
    for path in (path for path in files() if room_of(path) == room):
        found = set(old_words(path)) | (set(old_names(path)) if path.suffix == ".py" else set())
        broken += [f"{path.relative_to(ROOT)}:{line}: {word}" for line, word in sorted(found)]
    assert not broken, "\n".join(broken)


if __name__ == "__main__":
    for file in files(*sys.argv[1:]):
        names = old_names(file) if file.suffix == ".py" else ()
        for line, word in sorted({*old_words(file), *names}):
            sys.stdout.write(f"{file.relative_to(ROOT)}:{line}: {word}\n")
