"""The application of one command, which starts without the others."""

from __future__ import annotations

import subprocess
import sys

import pytest

from histosge.cli.application import application

_HEAVY = ("numpy", "scipy", "pandas", "anndata", "matplotlib", "torch")


def names(words: tuple[str, ...]) -> set[str]:
    app = application(words)
    return {str(item.name) for item in [*app.registered_commands, *app.registered_groups]}


def test_a_command_starts_without_the_others() -> None:
    """A command that is named has an application of its own; anything else has them all."""
    everything = names(())
    assert {"run", "report", "programs"} < everything
    assert names(("run", "SECTION")) == {"run"}
    # groups, options, files of the folder that are no command, and words that are none
    for word in ("programs", "--help", "options", "screen", "runn"):
        assert names((word,)) == everything


@pytest.mark.parametrize("command", ["run", "predict"])
def test_nothing_heavy_is_imported_before_the_first_stage(command: str) -> None:
    """The stage is on the screen before libraries that take a second are imported."""
    code = (
        "import sys; from histosge.cli.application import application; application(sys.argv[1:]);"
        "import histosge.workflow.stages; print(*sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code, command], capture_output=True, text=True, check=True)
    assert not set(_HEAVY) & set(found.stdout.split())
