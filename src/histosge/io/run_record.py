"""The record of a run, ``run.json``: read once, against a schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from histosge._runtime.records import refuse_changed
from histosge.errors import DataError, UsageError

__all__ = ["RUN", "checked_json", "read_run"]

RUN = "run.json"


# fields may be missing: a run without image has no encoder, and other packages' models report less of a fit. What is
# there has the type that its readers need.
class _Section(msgspec.Struct):
    name: str = ""
    platform: str = ""
    fingerprint: str | None = None
    measured: bool = True
    spots: int | None = None
    genes: int | None = None
    mpp: float | None = None
    pitch_um: float | None = None
    image_mpp: float | None = None


class _Calibration(msgspec.Struct):
    levels: list[float]
    coverage: list[float]
    raw: list[float] | None = None


class _Worth(msgspec.Struct):
    r_loo: float
    r_loo_given_depth: float


class _ProgramsUsed(msgspec.Struct):
    used: int = 0
    worth: dict[str, _Worth] = {}


class _Fit(msgspec.Struct):
    image_weight: float = 0.0
    weight_of_histology: float = 0.0
    weight_of_auxiliary: float = 0.0
    r_loo_factors: dict[str, float | None] | None = None
    mean_r_loo: float | None = None
    mean_r_loo_given_depth: float | None = None
    mean_r_loo_without_image: float | None = None
    mean_r_loo_image_gain_se: float | None = None
    reliable_genes: int | None = None
    expressed_genes: int | None = None
    calibration: _Calibration | None = None
    programs: _ProgramsUsed | None = None


class _Encoder(msgspec.Struct):
    name: str
    summary: str
    licence: str
    gated: bool = False


class _Target(msgspec.Struct):
    upsample: int | None = None
    spacing_um: float | None = None


class _Model(msgspec.Struct):
    name: str = ""
    uses_image: bool = True
    uses_position: bool = True


class _Message(msgspec.Struct):
    level: str
    text: str


class _Environment(msgspec.Struct):
    packages: dict[str, str | None] = {}


class _CrossValidation(msgspec.Struct):
    sections: int
    r: float | None = None
    coverage: float | None = None


class _Programs(msgspec.Struct):
    names: list[str] = []
    fingerprint: str = ""
    profiles: int = 0
    genes: int = 0
    common: int = 0
    licences: list[str] = []


class _Unmeasured(msgspec.Struct):
    genes: list[str] = []
    grades: list[str] = []
    r: list[float] = []
    refused: list[str] = []


class _Run(msgspec.Struct):
    """The parts that other commands read."""

    section: _Section
    files: dict[str, str] = {}
    genes_shown: list[str] = []
    messages: list[_Message] = []
    auxiliary: list[_Section] = []
    programs: _Programs | None = None
    unmeasured: _Unmeasured | None = None
    fit: _Fit | None = None
    recipe: dict[str, Any] | None = None
    model: _Model | None = None
    encoder: _Encoder | None = None
    target: _Target | None = None
    environment: _Environment | None = None
    cross_validation: _CrossValidation | None = msgspec.field(default=None, name="leave_one_section_out")
    fit_key: str | None = None
    seconds: float | None = None


def read_run(folder: Path) -> dict[str, Any]:
    """Return ``run.json`` of a folder.

    Raises
    ------
    UsageError
        When the folder has no run.
    DataError
        When the record is damaged.
    """
    path = folder / RUN
    if not path.is_file():
        raise UsageError(f"There is no run in '{folder}': it has no {RUN}. Give the folder of a run.")
    return checked_json(path, _Run, remedy="Delete it and run `histosge run` again.")


def checked_json(path: Path, kind: type[Any], *, remedy: str) -> dict[str, Any]:
    """Return the JSON object of a file, whose parts have the types of a schema and whose checksum is right.

    Raises
    ------
    UsageError
        When the file must not be read.
    DataError
        When it is damaged, or of another layout; ``remedy`` is the sentence that names a way out.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        msgspec.convert(content, kind)
        refuse_changed(content)
    except PermissionError as error:
        raise UsageError(f"No permission to read '{path}'.") from error
    except (OSError, ValueError, RecursionError, msgspec.ValidationError) as error:
        raise DataError(f"'{path}' is damaged ({error}). {remedy}") from error
    return dict(content)
