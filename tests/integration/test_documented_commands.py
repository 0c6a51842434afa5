"""Documented commands run from the root of the repository, and name things that exist."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = """
```bash
histosge run outs --out results
```

<!-- not compared: times -->

```bash
data=../shared/data/her2st # a folder
for section in C2 "C4"; do
  histosge evaluate $data/$section --seeds 1 \\
    --models ridge
done
```

<!-- not compared: too long -->

It took long (`python benchmarks/support.py
--seeds 0`).

As `histosge run outs` and `python tests/one.py` do.
"""

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("bash") is None, reason="documented commands are of Bash"
)


@pytest.fixture
def documented(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of docs/."""
    monkeypatch.syspath_prepend(str(DOCS))
    sys.modules.pop("documented_commands", None)
    return __import__("documented_commands")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page with an example, a block with a loop, and commands in the text."""
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_examples_are_not_documented_commands(documented: Any, page: Path) -> None:
    """A command counts with the paths of its block, or its own; on pages of results every block does."""
    found = {command.line: command.reason for command in documented.commands(page)}
    assert found == {
        "histosge evaluate $data/$section --seeds 1 --models ridge": "times",
        "python benchmarks/support.py --seeds 0": "too long",
        "python tests/one.py": "",
    }
    results = page.parent / "results"
    results.mkdir()
    page.rename(results / "page.md")
    assert "histosge run outs --out results" in [
        command.line for command in documented.commands(results / "page.md")
    ]


def test_loops_and_variables_are_resolved(
    documented: Any, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell resolves a block without running anything; what it cannot resolve is an error."""
    monkeypatch.setattr(documented, "DATA", Path("/far"))
    first, *_ = documented.commands(page)
    assert [words[2] for words in first.calls()] == ["/far/her2st/C2", "/far/her2st/C4"]
    assert documented.calls("rm -r / && OMP_NUM_THREADS=2 python one.py {a,b}") == [
        ["python", "one.py", "a", "b"]
    ]
    assert documented.calls("unset -f command_not_found_handle; none; python one.py") == [
        ["python", "one.py"]
    ]
    for line in ("cd benchmarks && python one.py", "python one.py > file", "/usr/bin/time python one.py"):
        with pytest.raises(ValueError, match="restricted"):
            documented.calls(line)


def test_what_does_not_exist_is_named(
    documented: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands, options, scripts, plans and sections that do not exist are faults."""
    monkeypatch.setattr(documented, "DATA", tmp_path)

    def faults(line: str, *, with_data: bool = True) -> list[str]:
        return [
            fault.partition(" in:")[0]
            for words in documented.calls(line)
            for fault in documented.faults(words, with_data=with_data)
        ]

    section = f"no such file: {tmp_path}/one"
    assert faults("histosge evaluate ../shared/data/one --sed 1") == ["no --sed", section]
    assert faults("histosge evaluate ../shared/data/one", with_data=False) == []
    assert faults("histosge evaluate ../shared/data/SECTION --models ridge") == []
    assert faults("histosge benchmark benchmarks/none.toml --out benchmarks/out") == [
        "no such file: benchmarks/none.toml"
    ]
    assert faults("histosge benchmark benchmarks/auxiliary_mob.toml")[0].startswith("no section mob/MOB1 of")
    assert faults("histosge programs build a --licence x && histosge progams") == [
        "no such command: histosge progams"
    ]
    assert faults("python benchmarks/none.py") == ["no such command: python benchmarks/none.py"]
    assert faults("python benchmarks/image_alone.py --seeds 1 --figure docs/none.png --fig 1") == ["no --fig"]


def test_documented_commands_name_things_that_exist(documented: Any) -> None:
    """Every documented command has a program, options, scripts and plans that exist."""
    assert documented.all_faults(with_data=False) == []


def test_documented_commands_name_sections_that_exist(documented: Any, real_data: Path) -> None:
    """Every section that a documented command or its plan reads is there."""
    assert real_data == documented.DATA
    assert documented.all_faults(with_data=True) == []
