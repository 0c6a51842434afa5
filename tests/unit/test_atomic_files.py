"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from histosge._runtime.atomic_files import atomic_path, holds_only, output_errors, writable_folder
from histosge.errors import OutputError, UsageError


def _write_half(path: Path) -> None:
    with atomic_path(path) as draft:
        draft.write_text("half")
        raise InterruptedError


def test_an_atomic_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """A failure half-way leaves the old file and no debris."""
    path = tmp_path / "result"
    path.write_text("old")
    with pytest.raises(InterruptedError):
        _write_half(path)
    assert path.read_text() == "old"
    with atomic_path(path) as draft:
        draft.write_text("new")
    assert path.read_text() == "new"
    assert [item.name for item in tmp_path.iterdir()] == ["result"]


def test_an_atomic_folder_replaces_one_of_its_kind(tmp_path: Path) -> None:
    """A folder that is recognised is replaced as a whole."""
    path = tmp_path / "store"
    for name in ("first", "second"):
        with atomic_path(path, own=holds_only("first", "second")) as draft:
            draft.mkdir()
            (draft / name).touch()
    assert [item.name for item in path.iterdir()] == ["second"]
    assert [item.name for item in tmp_path.iterdir()] == ["store"]


def test_a_folder_of_the_user_is_never_replaced(tmp_path: Path) -> None:
    """A folder with any entry of its own is refused before anything is written; an empty one is taken."""
    path = tmp_path / "precious"
    path.mkdir()
    with atomic_path(path) as draft:
        draft.write_text("an empty folder holds nothing to lose")
    path.unlink()
    (path / "sub").mkdir(parents=True)
    (path / "sub" / "thesis.txt").write_text("years of work")
    for own in (None, holds_only("other")):
        with (
            pytest.raises(
                UsageError, match=r"precious' is a folder that histosge did not write; choose another"
            ),
            atomic_path(path, own=own),
        ):
            raise AssertionError
    assert (path / "sub" / "thesis.txt").read_text() == "years of work"
    assert [item.name for item in tmp_path.iterdir()] == ["precious"]


def test_a_full_disk_has_its_message(tmp_path: Path) -> None:
    """ENOSPC becomes an error with a way out."""
    with pytest.raises(OutputError, match="disk is full"), output_errors(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EFBIG])
def test_quotas_are_full_disks(tmp_path: Path, number: int) -> None:
    """A user's quota and a system's limit give the message of a full disk."""
    with pytest.raises(OutputError, match="disk is full"), output_errors(tmp_path):
        raise OSError(number, "no more")


@pytest.mark.parametrize("tail", ["file/x", "file/x/y", "a" * 300])
def test_impossible_output_folders_are_refused(tmp_path: Path, tail: str) -> None:
    """Below a file, or with a name that no file system takes."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="Choose another `out`"):
        writable_folder(tmp_path / tail)
    with pytest.raises(UsageError, match="Choose another `out`"), atomic_path(tmp_path / tail / "f.txt"):
        pass


def test_the_next_attempt_clears_files_of_a_killed_process(tmp_path: Path) -> None:
    """Its temporary folder is removed by the next attempt; that of a living process stays."""
    code = f"""
from histosge._runtime.atomic_files import atomic_path
from pathlib import Path
import os
with atomic_path(Path({str(tmp_path / "f.txt")!r})) as draft:
    draft.write_text("half")
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    with atomic_path(tmp_path / "f.txt") as outer:
        outer.write_text("first")
        with atomic_path(tmp_path / "f.txt") as inner:
            inner.write_text("second")
        assert outer.exists()
    assert (tmp_path / "f.txt").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["f.txt"]


def test_the_draft_of_a_process_with_an_unknown_number_is_kept(tmp_path: Path) -> None:
    """Processes in containers do not see each other's numbers: a lock shows that one is alive."""
    code = f"""
from histosge._runtime.atomic_files import atomic_path
from pathlib import Path
with atomic_path(Path({str(tmp_path / "f.txt")!r})) as draft:
    draft.write_text("half")
    print("begun", flush=True)
    input()
    with draft.open("a") as file:
        file.write(" and the rest")
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "begun\n"
        with atomic_path(tmp_path / "f.txt") as draft:
            draft.write_text("mine")
        assert (tmp_path / "f.txt").read_text() == "mine"
        other.communicate("go\n")
    assert other.returncode == 0
    assert (tmp_path / "f.txt").read_text() == "half and the rest"
    assert [path.name for path in tmp_path.iterdir()] == ["f.txt"]


def test_a_folder_moved_aside_by_a_killed_process_comes_back(tmp_path: Path) -> None:
    """A kill between the two renames of a folder's exchange loses neither the old folder nor its content."""
    path = tmp_path / "store"
    code = f"""
import os
from histosge._runtime import atomic_files
from pathlib import Path
atomic_files.os.replace = lambda *_: os.kill(os.getpid(), 9)
with atomic_files.atomic_path(Path({str(path)!r}), own=lambda _: True) as draft:
    draft.mkdir()
"""
    path.mkdir()
    (path / "old").touch()
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert not path.exists()
    with pytest.raises(InterruptedError):
        _write_half(path)
    assert [item.name for item in path.iterdir()] == ["old"]
    assert [item.name for item in tmp_path.iterdir()] == ["store"]


def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """An output folder is a folder or does not exist."""
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(UsageError, match="is a file"):
        writable_folder(path)
