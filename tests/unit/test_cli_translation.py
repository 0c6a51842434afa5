"""Errors and messages of the package are printed in the words of the command line."""

from __future__ import annotations

import pytest

from histosge._runtime.messages import Message
from histosge.cli.screen import errors_as_sentences, show_messages
from histosge.errors import UsageError


def flags(text: str) -> str:
    return text.replace("`mpp`", "--mpp")


def fail_with_a_message() -> None:
    show_messages([Message("warning", "The tag is a printer's; give `mpp`.")])
    raise UsageError("`mpp` must be positive, got -1.")


def test_a_parameter_is_called_by_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    """A message and an error that name a parameter name the option of the running command."""
    with pytest.raises(SystemExit) as ending, errors_as_sentences(as_json=False, translate=flags):
        fail_with_a_message()
    printed = capsys.readouterr().err
    assert ending.value.code == 2
    assert "give --mpp." in printed
    assert "--mpp must be positive" in printed


def test_outside_a_command_names_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """After a command has ended, messages name parameters again."""
    with pytest.raises(SystemExit), errors_as_sentences(as_json=False, translate=flags):
        raise UsageError("no")
    show_messages([Message("info", "give `mpp`")])
    assert "give `mpp`" in capsys.readouterr().err
