"""Sample sheets: one row a section."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from histosge.errors import DataError, UsageError

__all__ = ["Sample", "SampleSheet"]

# names of the same column in the sheets of nf-core/sopa and TRIDENT
_SAME = {
    "id": "sample",
    "sample_id": "sample",
    "wsi": "path",
    "data_path": "path",
    "spaceranger_dir": "path",
    "section": "path",
    "image_path": "image",
    "patient_id": "patient",
    "library": "library_id",
}
# columns of nf-core sheets for steps before ours, which are left unread
_FOREIGN = (
    "fastq_dir",
    "cytaimage",
    "colorizedimage",
    "darkimage",
    "manual_alignment",
    "slide",
    "area",
    "slidefile",
)
# a sample's name is that of its folder
_FORBIDDEN = '/\\:*?"<>|'
_LONGEST = 100
_PATHS = ("path", "image", "cells")
_LENGTHS = ("mpp", "bin_um", "spacing_um")
# cells that are found in the image, and not in a file
_NUCLEI = "nuclei"


@dataclass(frozen=True, slots=True)
class Sample:
    """A section of a cohort, and how it is read.

    Parameters
    ----------
    sample
        Its name, unique in the sheet; it names its folder.
    path
        As :func:`histosge.read` takes it.
    image
        File of the full-resolution image; empty: the sharpest of the section.
    mpp
        µm per full-resolution pixel; ``None``: from the spots or the file.
    patient, batch, group
        Whom the section is of, what it was measured with, and what is compared; empty where the sheet does not say.
    cells
        File of the cells to predict at; empty: the locations of the whole cohort.
    reader, library_id, bin_um
        As for :func:`histosge.read`.
    spacing_um
        Spacing of a grid to predict at, for sections whose spots are on no lattice, µm; ``None``: the locations of the
        whole cohort.
    """

    sample: str
    path: str
    image: str = ""
    mpp: float | None = None
    patient: str = ""
    batch: str = ""
    group: str = ""
    cells: str = ""
    reader: str = ""
    library_id: str = ""
    bin_um: float | None = None
    spacing_um: float | None = None

    def read(self) -> Any:
        """Read the section; its name is the sample's.

        Raises
        ------
        UsageError, DataError
            As :func:`histosge.read`.
        """
        from histosge.io.readers import read

        return read(
            self.path,
            image=self.image or None,
            mpp=self.mpp,
            name=self.sample,
            reader=self.reader or None,
            bin_um=self.bin_um,
            library_id=self.library_id or None,
        )

    def absolute(self) -> Sample:
        """Return the sample with absolute paths."""
        cells = self.cells if self.cells == _NUCLEI else _absolute(self.cells)
        return replace(self, path=_absolute(self.path), image=_absolute(self.image), cells=cells)


@dataclass(frozen=True, slots=True)
class SampleSheet:
    """The sections of a cohort, in the order of the sheet.

    Parameters
    ----------
    samples
        One a section, with unique names.

    Raises
    ------
    UsageError
        For no sample, repeated names, and names that are no folder's.

    Examples
    --------
    >>> sheet = SampleSheet((Sample("A", "a/outs", patient="P1"), Sample("B", "b/outs", patient="P1")))
    >>> [other.sample for other in sheet.of_patient(sheet.samples[0])]
    ['B']
    """

    samples: tuple[Sample, ...]

    def __post_init__(self) -> None:
        names = [sample.sample for sample in self.samples]
        if not names:
            raise UsageError("Expected a sheet with a row for each section, got none.")
        repeated = [name for name, number in Counter(name.casefold() for name in names).items() if number > 1]
        if repeated:
            raise UsageError(
                f"Expected unique names of samples, got '{repeated[0]}' more than once. Each names a folder."
            )
        for name in names:
            if not name or name.startswith(".") or len(name) > _LONGEST or set(name) & set(_FORBIDDEN):
                raise UsageError(
                    f"Expected a name of a sample that can name a folder, got '{name}'. Use letters, digits, - and _."
                )

    def __len__(self) -> int:
        return len(self.samples)

    def of_patient(self, sample: Sample) -> tuple[Sample, ...]:
        """Return the other samples of a sample's patient; none where the sheet names no patient."""
        if not sample.patient:
            return ()
        return tuple(
            other
            for other in self.samples
            if other.patient == sample.patient and other.sample != sample.sample
        )

    def only(self, names: Iterable[str]) -> tuple[Sample, ...]:
        """Return the samples of these names, in the order of the sheet.

        Raises
        ------
        UsageError
            For a name that the sheet does not have.
        """
        names = list(names)
        known = {sample.sample for sample in self.samples}
        for name in names:
            if name not in known:
                raise UsageError(
                    f"There is no sample '{name}' in the sheet. Known: {', '.join(sorted(known)[:20])}."
                )
        return tuple(sample for sample in self.samples if sample.sample in names)

    @classmethod
    def read(cls, path: Path | str) -> SampleSheet:
        """Read a sheet: CSV, TSV or with semicolons, in UTF-8 or UTF-16; paths are relative to its folder.

        Columns: ``sample``, ``path``, and those of :class:`Sample`. The sheets of nf-core/sopa (``data_path``) and
        TRIDENT (``wsi``, ``mpp``) are understood: there the sample is named by its file. Further columns are refused,
        because a mistyped name would otherwise be an option that is not obeyed.

        Raises
        ------
        UsageError
            For a missing sheet, and columns or samples that cannot be.
        DataError
            For another encoding, and rows that are no rows.
        """
        path = Path(path)
        rows = _rows(path)
        header = [_column(name) for name in rows[0]]
        _refuse_columns(header, path)
        samples = [
            _sample(dict(zip(header, row, strict=True)), number, path)
            for number, row in enumerate(rows[1:], start=2)
        ]
        return cls(tuple(samples))


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if path else path


def _rows(path: Path) -> list[list[str]]:
    text = _text(path)
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=separator, strict=True) if any(row)]
    except csv.Error as error:
        raise DataError(f"'{path}' is no table ({error}). Save the sheet as CSV.") from error
    if len(rows) < 2:
        raise UsageError(f"Expected a header and a row for each section in '{path}', got {len(rows)} rows.")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise DataError(
                f"Expected {len(rows[0])} columns in row {number} of '{path}', got {len(row)}. Quote values with "
                f"'{separator}' in them."
            )
    return rows


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UsageError(f"Expected a sheet of samples, got none at '{path}'.") from error
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"Expected '{path}' in UTF-8, got another encoding at byte {error.start}. Save the sheet as CSV UTF-8."
        ) from error
    if "\0" in text:
        raise DataError(f"'{path}' is no text (a workbook?). Save the sheet as CSV UTF-8.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _column(name: str) -> str:
    name = name.strip().lower().replace(" ", "_")
    return _SAME.get(name, name)


def _refuse_columns(header: Sequence[str], path: Path) -> None:
    known = [item.name for item in fields(Sample)]
    for name, number in Counter(header).items():
        if number > 1:
            raise UsageError(
                f"Column '{name}' is in '{path}' {number} times, or under two names of the same."
            )
        if name not in known and name not in _FOREIGN:
            raise UsageError(
                f"Column '{name}' of '{path}' is not known. Known: {', '.join(known)}. Leave the others out."
            )
    if "path" not in header:
        raise UsageError(f"Expected a column path in '{path}', got {', '.join(header)}.")


def _sample(row: dict[str, str], number: int, path: Path) -> Sample:
    row = {name: value.strip() for name, value in row.items() if name not in _FOREIGN}
    if not row["path"]:
        raise UsageError(f"Row {number} of '{path}' names no path.")
    values: dict[str, Any] = {name: value for name, value in row.items() if name not in _LENGTHS}
    for name in _LENGTHS:
        if row.get(name):
            values[name] = _number(row[name], f"{name} in row {number} of '{path}'")
    for name in _PATHS:
        if values.get(name) and not (name == "cells" and values[name] == _NUCLEI):
            values[name] = str(path.parent / values[name])
    values["sample"] = values.get("sample") or Path(row["path"]).name.split(".")[0]
    return Sample(**values)


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise UsageError(f"Expected a number above 0 as {where}, got '{text}'.")
    return value
