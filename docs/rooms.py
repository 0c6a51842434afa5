"""Write the API pages of the rooms: one page a floor of the house, one section a module, from the modules there are."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import histosge

SOURCE = Path(histosge.__file__).parent
# title of the page -> rooms; a room not named here goes to the last page, so that a new one is never lost
PAGES = {
    "Numbers and places": ("platforms", "points", "lattice", "refinement", "expression", "metrics"),
    "Space and image": (
        *("slides", "slide", "tissue", "section", "locations"),
        *("polygons", "alignment", "patches", "unmeasured"),
    ),
    "Reading": ("readers", "datasets"),
    "What passes between": ("inputs", "prediction", "sources", "factored", "transcriptome"),
    "Encoders": ("encoders", "store", "features"),
    "Models": ("genes", "splits", "models"),
    "Domains": ("domains",),
    "Writers, figures, report": ("writers", "figures", "report", "conservation"),
    "Assembly": (
        *("recipe", "target", "workflow", "pooling", "origin", "delivery", "export", "assembly", "demo"),
        *("annotation", "subject", "partition", "claims"),
    ),
    "Judging": ("evaluation",),
    "Everything else": (),
}
# described elsewhere, or spoken to from a shell
ELSEWHERE = ("pp", "tl", "pl", "cli")


def write_rooms(folder: Path) -> None:
    """Write the pages into ``folder``, and only where they change, so that a second build is quick."""
    folder.mkdir(exist_ok=True)
    modules = list(_modules())
    named = {room for rooms in PAGES.values() for room in rooms}
    kept = set()
    for title, rooms in PAGES.items():
        own = [name for room in rooms for name in modules if name.split(".")[1] == room]
        own += [name for name in modules if not rooms and name.split(".")[1] not in named]
        page = folder / f"{title.lower().replace(' ', '-')}.md"
        kept.add(page)
        text = f"# {title}\n\n" + "\n".join(map(_section, own))
        if own and (not page.exists() or page.read_text(encoding="utf-8") != text):
            page.write_text(text, encoding="utf-8")
    for old in set(folder.glob("*.md")) - kept:
        old.unlink()


def _modules() -> Iterator[str]:
    """Yield the modules that are not private."""
    for path in sorted(SOURCE.rglob("*.py")):
        parts = [part for part in path.relative_to(SOURCE).with_suffix("").parts if part != "__init__"]
        private = any(part.startswith("_") for part in parts)
        if parts and not private and parts[0] not in ELSEWHERE:
            yield ".".join(["histosge", *parts])


def _section(module: str) -> str:
    """Return a module's section, without what `import histosge` gives: the public names describe that."""
    names = import_module(module)
    exported = histosge._ROOMS
    taken = [
        name
        for name in getattr(names, "__all__", ())
        if getattr(getattr(names, name), "__module__", module) != module
        or f"histosge.{exported.get(name)}" == module
    ]
    exclude = f"   :exclude-members: {', '.join(taken)}\n" if taken else ""
    return f"## `{module.removeprefix('histosge.')}`\n\n```{{eval-rst}}\n.. automodule:: {module}\n{exclude}```\n"
