"""The record of an evaluation, ``scores.json``: read once, against a schema."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from histosge._runtime.hashing import fingerprint_path
from histosge.errors import DataError, UsageError

from .run_record import checked_json

__all__ = ["SCORES", "read_scores", "score_files"]

SCORES = "scores.json"
_REMEDY = "Run `histosge evaluate` again."


class _Row(msgspec.Struct):
    section: str
    split: str
    model: str
    set: str
    preset: str = ""
    pcc: float | None = None
    mse: float | None = None
    skill: float | None = None


class _Scores(msgspec.Struct):
    """The parts that other commands read."""

    rows: list[_Row]
    files: dict[str, str] = {}


def read_scores(folder: Path) -> dict[str, Any]:
    """Return ``scores.json`` of a folder.

    Raises
    ------
    UsageError
        When the folder has no evaluation.
    DataError
        When the record is damaged, or a table beside it is that of another evaluation.
    """
    content = _content(folder)
    for name, hashed in content.get("files", {}).items():
        if (folder / name).exists() and fingerprint_path(folder / name) != hashed:
            raise DataError(
                f"'{folder / name}' is not the file that {SCORES} lists: it was changed, or another evaluation was "
                f"interrupted there. {_REMEDY}"
            )
    return content


def score_files(folder: Path) -> Mapping[str, str]:
    """Return the tables of the evaluation in a folder with the hashes they had; none without a readable record."""
    try:
        return dict(_content(folder).get("files", {}))
    except (UsageError, DataError):
        return {}


def _content(folder: Path) -> dict[str, Any]:
    path = folder / SCORES
    if not path.is_file():
        raise UsageError(f"There is no evaluation in '{folder}': it has no {SCORES}.")
    return checked_json(path, _Scores, remedy=_REMEDY)
