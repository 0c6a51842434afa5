"""Examples in docstrings run and print what they show."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import matplotlib as mpl
import pytest

import histosge

SOURCE = Path(histosge.__file__).parent
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def modules_with_examples() -> list[str]:
    """Return the modules whose source shows a prompt that is run."""

    def shows(path: Path) -> bool:
        lines = path.read_text(encoding="utf-8").splitlines()
        return any(">>> " in line and "+SKIP" not in line for line in lines)

    paths = [path for path in sorted(SOURCE.rglob("*.py")) if shows(path)]
    names = [p.relative_to(SOURCE.parent).with_suffix("").as_posix().replace("/", ".") for p in paths]
    return [name.removesuffix(".__init__") for name in names]


class Finder(doctest.DocTestFinder):
    """Finds public classes in the module that defines them, although they name the package as their module."""

    def _from_module(self, module: object, item: object) -> bool:
        if getattr(item, "__module__", None) == "histosge":
            name, path = getattr(item, "__name__", ""), Path(str(getattr(module, "__file__", "")))
            if isinstance(item, type) and f"\nclass {name}" not in path.read_text(encoding="utf-8"):
                return False
            public = getattr(histosge, name, None)
            return public is item and item in vars(module).values()
        return super()._from_module(module, item)


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example of the module runs in an empty folder and prints what the docstring shows."""
    monkeypatch.chdir(tmp_path)
    runner, module = doctest.DocTestRunner(optionflags=FLAGS), import_module(name)
    with mpl.rc_context({"backend": "agg"}):
        for test in Finder().find(module, name):
            runner.run(test)
    assert runner.tries > 0
    assert runner.failures == 0
