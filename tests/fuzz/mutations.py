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

#: changes one after the other; each names the file, the change and the numbers that it uses
Mutation = list[dict[str, Any]]


def changes_of(files: list[str]) -> st.SearchStrategy[Mutation]:
    """Return the strategy for an input of these files: one to three changes, of which most inputs have one."""
    # bytes are drawn evenly, integers are mostly small ones
    numbers = st.binary(min_size=32, max_size=32).map(
        lambda raw: [int.from_bytes(raw[first : first + 4], "little") & MOST for first in range(0, 32, 4)]
    )

    def change(names: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
        return names.flatmap(
            lambda file: st.fixed_dictionaries(
                {
                    "file": st.just(file),
                    "change": st.one_of(
                        st.sampled_from(sorted(operations_of(file) or BYTES)),
                        st.sampled_from(sorted(BYTES)),
                        st.sampled_from(sorted(operations_of(file) or BYTES)),
                        st.sampled_from(sorted(BYTES)),
                        st.sampled_from(sorted(FILES)),
                    ),
                    "numbers": numbers,
                }
            )
        )

    one = change(st.sampled_from(files))
    return st.one_of(
        one.map(lambda item: [item]), one.map(lambda item: [item]), st.lists(one, min_size=1, max_size=3)
    )


def draw(kind: Kind, files: list[str], count: int, seed: int) -> list[Mutation]:
    """Draw mutations of a kind; the same seed gives the same ones."""
    strategy = changes_of(files)
    return [_drawn(strategy, f"{kind.name} {seed} {number}") for number in range(count)]


def _drawn(strategy: st.SearchStrategy[Mutation], seed: str) -> Mutation:
    """Draw one mutation: Hypothesis makes many in a row by varying earlier ones, which would be alike."""
    found: list[Mutation] = []
    # the first example is the simplest one, whatever the seed
    quiet = settings(
        max_examples=2,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )

    @seeded(seed)
    @quiet
    @given(strategy)
    def collect(mutation: Mutation) -> None:
        found.append(mutation)

    collect()
    return found[-1]


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
    changed = {_named(folder, name) for name, content in before.items() if _content(folder / name) != content}
    changed |= {
        path.relative_to(folder).as_posix() for path, content in others.items() if _content(path) != content
    }
    new = {path for name in before for path in (folder / name).parent.iterdir()} - set(others)
    return sorted(changed | {path.relative_to(folder).as_posix() for path in new if path.is_file()})


def _named(folder: Path, name: str) -> str:
    return name if (folder / name).is_file() else f"{name} (missing)"


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
