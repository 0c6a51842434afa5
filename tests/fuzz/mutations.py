"""Hypothesis strategies of changes: what is drawn is plain, so that it can be kept, shown and applied again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from changing_bytes import BYTES, FILES, MOST, Numbers
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from kinds import Kind, operation, operations_of

__all__ = ["Mutation", "apply", "changes_of", "draw"]

# numbers of a change: its file, which kind of change, which one, and what it uses; and of a mutation
_EACH = 11
_WORDS = 1 + 3 * _EACH
#: changes one after the other; each names the file, the change and the numbers that it uses
Mutation = list[dict[str, Any]]


def changes_of(files: list[str]) -> st.SearchStrategy[Mutation]:
    """Return the strategy for an input of these files: one to three changes, of which most inputs have one.

    All is drawn at once, as bytes: Hypothesis draws those evenly, while it prefers small integers, and makes examples
    of several parts by repeating parts of earlier ones.
    """
    return st.binary(min_size=4 * _WORDS, max_size=4 * _WORDS).map(lambda raw: _decoded(raw, files))


def _decoded(raw: bytes, files: list[str]) -> Mutation:
    words = [int.from_bytes(raw[first : first + 4], "little") & MOST for first in range(0, len(raw), 4)]
    number = (1, 1, 1, 1, 1, 1, 2, 3)[words[0] % 8]
    return [_change(words[1 + _EACH * index : 1 + _EACH * (index + 1)], files) for index in range(number)]


def _change(words: list[int], files: list[str]) -> dict[str, Any]:
    """Return a change: of the format twice in five, of bytes twice, of the file as such once."""
    file = files[words[0] % len(files)]
    structured = operations_of(file) or BYTES
    names = sorted((structured, structured, BYTES, BYTES, FILES)[words[1] % 5])
    return {"file": file, "change": names[words[2] % len(names)], "numbers": words[3:]}


def draw(kind: Kind, files: list[str], count: int, seed: int) -> list[Mutation]:
    """Draw mutations of a kind; the same seed gives the same ones."""
    drawn: list[Mutation] = []
    quiet = settings(
        max_examples=count + 1,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )

    @seeded(f"{kind.name} {seed}")
    @quiet
    @given(changes_of(files))
    def collect(mutation: Mutation) -> None:
        drawn.append(mutation)

    collect()
    # the first example is the simplest one, whatever the seed
    return drawn[1:]


def apply(mutation: Mutation, folder: Path) -> list[str]:
    """Change the files of an input; return those that differ now. A change that cannot be made is left out."""
    before = {change["file"]: _content(folder / change["file"]) for change in mutation}
    others = {
        path: _content(path) for name in before for path in (folder / name).parent.iterdir() if path.is_file()
    }
    # structured changes first: they need a file that can be read
    for change in sorted(mutation, key=lambda item: item["change"] in BYTES):
        path = folder / change["file"]
        try:
            operation(change["file"], change["change"])(path, Numbers(change["numbers"]))
        except Exception:
            # of no meaning for this file, or for what an earlier change left of it
            if not path.exists() and not path.is_symlink() and before[change["file"]] is not None:
                path.write_bytes(before[change["file"]] or b"")
    structured = {change["file"] for change in mutation if change["change"] in operations_of(change["file"])}
    every = before | {path.relative_to(folder).as_posix(): content for path, content in others.items()}
    changed = [name for name, content in every.items() if _content(folder / name) != content]
    new = {path for name in before for path in (folder / name).parent.iterdir()} - set(others)
    return sorted(
        [
            *(_named(folder, name, rewritten=name in structured) for name in changed),
            *(path.relative_to(folder).as_posix() for path in new if path.is_file()),
        ]
    )


def _named(folder: Path, name: str, *, rewritten: bool) -> str:
    """Return the name of a changed file, with what happened to it where rules may depend on that."""
    if not (folder / name).is_file():
        return f"{name} (missing)"
    return f"{name} (rewritten)" if rewritten and name.endswith((".h5", ".h5ad")) else name


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
