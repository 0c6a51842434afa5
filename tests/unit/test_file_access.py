"""A process that is not to read a section has no path of it, and its files are closed or their opening is noted."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from histosge.errors import DataError, UsageError
from histosge.evaluation.file_access import inside
from histosge.evaluation.separate_process import Failure, run_separately


def surroundings() -> dict[str, object]:
    """What a process can know of the one that started it."""
    return {
        "variables": dict(os.environ),
        "arguments": list(sys.argv),
        "files": os.listdir("."),
        "folder": os.getcwd(),
    }


def content_of(path: str) -> str:
    return Path(path).read_text()


def content_without_python(path: str) -> str:
    """The content as a library in C reads it, and another program."""
    import subprocess

    return subprocess.run(["cat", path], capture_output=True, text=True, check=False).stdout


def refusing() -> None:
    raise UsageError("Expected 2, got 1. Give 2.")


def kept_arrays(*arrays: np.ndarray) -> list[tuple[bool, bool, bool, np.ndarray]]:
    return [(a.base is None, a.flags.writeable, a.flags.f_contiguous, a) for a in arrays]


def ended_at_once() -> None:
    os._exit(9)


def test_a_separate_process_knows_nothing_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables, arguments and folder of this process are not passed on."""
    monkeypatch.setenv("WHERE_THE_SECTION_IS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    known = run_separately(surroundings, closed=(tmp_path,)).value
    assert "WHERE_THE_SECTION_IS" not in known["variables"]
    assert str(tmp_path) not in str(known)
    assert known["files"] == []


def test_opening_a_closed_file_is_noted(tmp_path: Path) -> None:
    """A file of the section is named where it was opened, or tried to be; other files are read as ever."""
    (tmp_path / "section").mkdir()
    path, other = tmp_path / "section" / "counts.csv", tmp_path / "other.csv"
    path.write_text("1")
    other.write_text("2")
    outcome = run_separately(content_of, str(path), closed=(tmp_path / "section",))
    assert outcome.opened == (str(path),)
    assert isinstance(outcome.value, Failure) or outcome.value == "1"
    assert run_separately(content_of, str(other), closed=(tmp_path / "section",)).value == "2"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux closes files")
def test_linux_closes_files_to_other_programs_too(tmp_path: Path) -> None:
    """What opens files without Python does not get them either, where the kernel has Landlock."""
    path, other = tmp_path / "section.h5", tmp_path / "other.h5"
    path.write_text("1")
    other.write_text("2")
    if not isinstance(run_separately(content_of, str(path), closed=(path,)).value, Failure):
        pytest.skip("this kernel has no Landlock")
    assert run_separately(content_without_python, str(path), closed=(path,)).value == ""
    assert run_separately(content_without_python, str(other), closed=(path,)).value == "2"


def test_arrays_arrive_as_they_were_sent() -> None:
    """A model that works in this process works in the other: arrays own their memory, and read-only ones stay so."""
    sent = [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.ones((3, 4))),
        np.array(["a", "bc"]),
        np.zeros((0, 3)),
    ]
    sent[0].flags.writeable = False
    arrived = run_separately(kept_arrays, *sent).value
    assert all(owned for owned, *_ in arrived)
    for array, (_, writeable, fortran, copy) in zip(sent, arrived, strict=True):
        assert np.array_equal(array, copy)
        assert (writeable, fortran) == (array.flags.writeable, array.flags.f_contiguous)


def test_program_code_is_no_file_of_the_section(tmp_path: Path) -> None:
    """A package that lies beside the data of a project is imported, and that is no leak."""
    names = [tmp_path / "plugin.py", tmp_path / "spots.csv", tmp_path.parent / "else.csv"]
    assert inside(map(str, names), [tmp_path]) == [str(names[1])]


def test_errors_come_back_as_they_are() -> None:
    """Refusals keep their class and sentence; a process that ends without a result is a failure."""
    with pytest.raises(UsageError, match=r"Expected 2, got 1\. Give 2\."):
        run_separately(refusing)
    assert run_separately(ended_at_once).value == Failure("exit code 9", "")
    with pytest.raises(DataError, match="Define its classes at the top level"):
        run_separately(lambda: None)
