"""Ctrl-C, closed pipes and full disks end a command quietly or with one sentence, whatever it prints."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from histosge.cli.interruption import interruptible, was_interrupted

COMMAND = [sys.executable, "-m", "histosge"]
LINUX = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")


@pytest.mark.parametrize("words", [["cite"], ["--help"], ["list", "models"], ["list", "--json"]])
def test_a_closed_pipe_is_no_error(words: list[str]) -> None:
    """``histosge … | head`` ends with 141 or 0 and prints nothing on standard error."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        result = subprocess.run(
            [*COMMAND, *words], stdout=pipe, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode in (0, 141)
    assert result.stderr == ""


@LINUX
@pytest.mark.parametrize("words", [["cite"], ["list", "models"], ["list", "--json"]])
def test_a_full_standard_output_is_one_sentence(words: list[str]) -> None:
    """A result that cannot be printed ends with 3 and one sentence."""
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == 3
    assert result.stderr.splitlines() == [
        "error: The result could not be printed on standard output: No space left on device."
    ]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interruption_while_importing_is_one_sentence() -> None:
    """Ctrl-C in the first tenths of a second ends with 130 and one sentence, without a traceback."""
    with subprocess.Popen(
        [*COMMAND, "list", "models"], stderr=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        time.sleep(0.25)
        process.send_signal(signal.SIGINT)
        errors = process.communicate()[1].decode()
    # a slow computer is still starting Python then, a fast one has finished
    assert process.returncode in (0, 130, -signal.SIGINT)
    assert process.returncode != 130 or errors.count("\n") <= 1


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interruption_is_remembered_until_the_command_ends(capsys: pytest.CaptureFixture[str]) -> None:
    """Libraries may turn the interruption into an error of theirs; the command knows even so, and ends with 130."""

    def interrupted() -> None:
        with interruptible():
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt as error:
                assert was_interrupted()
                raise KeyboardInterrupt from error

    # libraries of other tests may have left a handler of theirs
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(SystemExit) as end:
            interrupted()
    finally:
        signal.signal(signal.SIGINT, previous)
    assert end.value.code == 130
    assert not was_interrupted()
    assert capsys.readouterr().err.count("\n") == 1
