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
    number = st.integers(0, MOST)

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
                    "numbers": st.lists(number, min_size=8, max_size=8),
                }
            )
        )

    one = change(st.sampled_from(files))
    return st.one_of(
        one.map(lambda item: [item]), one.map(lambda item: [item]), st.lists(one, min_size=1, max_size=3)
    )


def draw(kind: Kind, files: list[str], count: int, seed: int) -> list[Mutation]:
    """Draw mutations of a kind; the same seed and count give the same ones."""
    drawn: list[Mutation] = []
    quiet = settings(
        max_examples=count,
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
    return drawn


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
    changed = {name for name, content in before.items() if _content(folder / name) != content}
    changed |= {
        path.relative_to(folder).as_posix() for path, content in others.items() if _content(path) != content
    }
    new = {path for name in before for path in (folder / name).parent.iterdir()} - set(others)
    return sorted(changed | {path.relative_to(folder).as_posix() for path in new if path.is_file()})


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
