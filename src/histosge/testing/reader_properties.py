"""What every reader keeps, whatever it reads."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from histosge.errors import DataError, HistosgeError
from histosge.io.readers import READERS
from histosge.io.readers.base import Reader, ReadOptions
from histosge.section.section import Section

from .property_error import PropertyError, expect, naming

__all__ = ["READER_PROPERTIES", "ReaderCase", "check_reader"]

# stores have hundreds of small files; those at the ends of the list are of all kinds
_MOST_FILES = 12


@dataclass(frozen=True, slots=True)
class ReaderCase:
    """A reader with a sample of its format.

    Parameters
    ----------
    reader
        The registry entry.
    sample
        A file or folder of the format.
    options
        What reading it needs.
    """

    reader: Reader
    sample: Path
    options: ReadOptions = field(default_factory=ReadOptions)

    @property
    def name(self) -> str:
        """Of the reader."""
        return self.reader.name

    def read(self) -> Section:
        """Return the sample as a section."""
        with naming(self.name, "The sample can be read."):
            return _quietly(self.reader, self.sample, self.options)


def detects(case: ReaderCase) -> None:
    """Check that the sample is detected by this reader, and by no other one of those that are registered."""
    expect(case.reader.detect(case.sample), case.name, "The sample is detected.", case.sample)
    others = [name for name, other in READERS.items() if name != case.name and other.detect(case.sample)]
    # a general format may hold a specific one: it then comes later
    before = [name for name in others if READERS[name].priority <= case.reader.priority]
    expect(not before, case.name, "No reader that is tried before detects the sample.", before)


def never_fails(case: ReaderCase) -> None:
    """Check that missing paths, empty files and folders, and other content are not detected, without an error."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in (("empty", b""), ("text.txt", b"one\ttwo\n"), ("bytes.bin", bytes(range(256)))):
            (folder / file).write_bytes(content)
        (folder / "folder").mkdir()
        for path in (folder / "missing", *sorted(folder.iterdir())):
            with naming(case.name, f"Detection never fails ({path.name})."):
                detected = case.reader.detect(path)
            expect(not detected, case.name, "Other content is not detected.", path.name)


def section(case: ReaderCase) -> None:
    """Check that the section has a name, unique spots at finite positions, and raw counts."""
    read, name = case.read(), case.name
    expect(read.name, name, "The section has a name.", repr(read.name))
    expect(len(read) > 0, name, "The section has spots.", len(read))
    expect(np.isfinite(read.spots.xy).all(), name, "Positions are finite.", "some are not")
    ids = read.spots.ids
    expect(len(set(ids.tolist())) == len(ids), name, "Spots have names of their own.", "equal names")
    if read.has_counts:
        counts = read.counts.data
        expect(
            (counts >= 0).all() and (counts == np.round(counts)).all(), name, "Counts are raw.", counts[:5]
        )
        genes = read.genes
        expect(len(set(genes.tolist())) == len(genes), name, "Genes have names of their own.", "equal names")


def options(case: ReaderCase) -> None:
    """Check that ``name`` and ``mpp`` of the options override what the file has."""
    chosen = replace(case.options, name="mine", mpp=2.0)
    with naming(case.name, "`name` and `mpp` can be chosen."):
        read = _quietly(case.reader, case.sample, chosen)
    expect(read.name == "mine", case.name, "`name` of the options is the section's.", read.name)
    expect(read.mpp == 2.0, case.name, "`mpp` of the options is the section's.", read.mpp)


def unchanged(case: ReaderCase) -> None:
    """Check that reading twice gives the same section, and writes nothing beside the sample."""
    before = _files(case.sample)
    first, second = case.read(), case.read()
    expect(
        first.fingerprint == second.fingerprint, case.name, "A sample is the same each time.", "other data"
    )
    expect(_files(case.sample) == before, case.name, "Reading writes nothing.", "files that were changed")


def damaged(case: ReaderCase) -> None:
    """Check that a file cut to half its length is a section or one sentence, and that one at least is an error."""
    errors, sentence = [], "A damaged file is a section, or a HistosgeError of one sentence."
    for copy in _damaged(case.sample):
        try:
            _quietly(case.reader, copy, case.options)
        except HistosgeError as error:
            errors.append(error)
            text = str(error)
            expect(text.endswith(".") and "\n" not in text, case.name, sentence, repr(text))
        except Exception as error:
            raise PropertyError(case.name, sentence, f"{type(error).__name__}: {error}") from error
    noticed = any(isinstance(error, DataError) for error in errors)
    expect(
        noticed, case.name, "A file that was cut off is a DataError.", f"{len(errors)} errors, none of them"
    )


#: each is a function of a case that raises a ``PropertyError`` where the property does not hold
READER_PROPERTIES: Mapping[str, Callable[[ReaderCase], None]] = {
    check.__name__: check for check in (detects, never_fails, section, options, unchanged, damaged)
}


def check_reader(reader: Reader | str, sample: Path | str, *, options: ReadOptions | None = None) -> None:
    """Check that a reader has the properties that the readers of this package have.

    They are: it detects its own format, fails at no path and leaves other formats to other readers; sections with raw
    counts, unique names and finite positions; options that come before what the file says; the same section each time,
    nothing written; and one sentence where a file is damaged.

    Parameters
    ----------
    reader
        A registry entry, or the name of a registered one.
    sample
        A small file or folder of the format. It is copied and damaged, and stays as it is.
    options
        What reading the sample needs, such as ``mpp`` of an image.

    Raises
    ------
    PropertyError
        For the first property that does not hold, with what was seen.

    Examples
    --------
    >>> import tempfile, histosge as hs
    >>> from pathlib import Path
    >>> from histosge.datasets.folders import write_spaceranger
    >>> from histosge.testing import check_reader
    >>> section = hs.synthetic(columns=8, rows=8, genes=12).section
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     check_reader("visium", write_spaceranger(section, Path(folder) / "outs"))
    """
    entry = READERS[reader] if isinstance(reader, str) else reader
    case = ReaderCase(entry, Path(sample), options or ReadOptions())
    for check in READER_PROPERTIES.values():
        check(case)


def _quietly(reader: Reader, path: Path, options: ReadOptions) -> Section:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return reader.read(path, options)


def _files(sample: Path) -> dict[str, bytes]:
    files = [sample] if sample.is_file() else sorted(item for item in sample.rglob("*") if item.is_file())
    return {str(item.relative_to(sample)): item.read_bytes() for item in files}


def _damaged(sample: Path) -> Iterator[Path]:
    """Yield copies of the sample, one after the other, each with one file cut to half its length."""
    files = [sample] if sample.is_file() else sorted(item for item in sample.rglob("*") if item.is_file())
    for item in files if len(files) < _MOST_FILES else files[:: len(files) // 10]:
        with TemporaryDirectory() as folder:
            copy = Path(folder) / sample.name
            (shutil.copy if sample.is_file() else shutil.copytree)(sample, copy)
            path = copy if sample.is_file() else copy / item.relative_to(sample)
            path.write_bytes(item.read_bytes()[: item.stat().st_size // 2])
            yield copy
