"""What every writer keeps, whatever it writes."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np

from histosge.datasets.synthetic import synthetic
from histosge.errors import OutputError, UsageError
from histosge.io.writers import WRITERS
from histosge.io.writers.base import AnyPrediction, WriteOptions, Writer
from histosge.models import build_model
from histosge.models.base import FactoredPredictor
from histosge.prediction.factored import FactoredPrediction
from histosge.section.genes import select
from histosge.section.inputs import Inputs
from histosge.section.locations import at_cells, at_spots, upsampled
from histosge.section.multi_section import samples_of
from histosge.section.section import Section
from histosge.segmentation.cells import Cells

from .property_error import expect, naming

__all__ = ["WRITER_PROPERTIES", "WriterCase", "check_writer", "content", "no_file_larger_than"]

# bytes that a full disk takes
_SIZES = (100, 2000)


@dataclass(frozen=True, slots=True)
class WriterCase:
    """A writer with something to write.

    Parameters
    ----------
    writer
        The registry entry.
    section
        A measured section.
    prediction
        Of that section, at locations that the format holds.
    genes
        That are written.
    """

    writer: Writer
    section: Section
    prediction: AnyPrediction
    genes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of the writer."""
        return self.writer.name

    def write(self, path: Path, *, genes: tuple[str, ...] | None = None) -> Path:
        """Write to a path."""
        return self.writer.write(path, self.section, self.prediction, WriteOptions(genes or self.genes))


def written(case: WriterCase) -> None:
    """Check that a file, or a folder, of the declared name stands at the path, and nothing beside it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / case.writer.filename
        with naming(case.name, "A prediction can be written."):
            returned = case.write(path)
        expect(returned == path, case.name, "The path that was written is returned.", returned)
        expect(path.exists(), case.name, "Something stands at the path.", "nothing")
        kind = "folder" if path.is_dir() else "file"
        expect(kind == case.writer.kind, case.name, f"`kind` is '{case.writer.kind}'.", kind)
        beside = [item.name for item in folder.iterdir() if item != path]
        expect(not beside, case.name, "Nothing is left beside the path.", beside)


def same_bytes(case: WriterCase) -> None:
    """Check that writing twice gives the same bytes."""
    with TemporaryDirectory() as name:
        paths = [Path(name) / part / case.writer.filename for part in ("a", "b")]
        for path in paths:
            path.parent.mkdir()
            case.write(path)
        same = content(paths[0]) == content(paths[1])
        expect(same, case.name, "The same prediction gives the same bytes.", "other bytes")


def full_disk(case: WriterCase) -> None:
    """Check that a full disk leaves the previous content and nothing else, and is one sentence."""
    # only there can a process limit the size of its files
    if sys.platform == "win32":
        return
    for size in _SIZES:
        with TemporaryDirectory() as name:
            path = Path(name) / case.writer.filename
            before = content(case.write(path))
            if _largest(path) <= size:
                continue
            sentence = "A full disk is an OutputError of one line."
            with no_file_larger_than(size):
                error = _error_of(lambda path=path: case.write(path))
            expect(isinstance(error, OutputError), case.name, sentence, repr(error))
            expect("\n" not in str(error), case.name, sentence, repr(error))
            expect(
                path.exists() and content(path) == before, case.name, "The previous content stays.", "another"
            )
            left = [item.name for item in Path(name).iterdir() if item != path]
            expect(not left, case.name, "A full disk leaves nothing behind.", left)


def unknown_genes(case: WriterCase) -> None:
    """Check that a gene that was not predicted is refused in a sentence, and nothing is written."""
    with TemporaryDirectory() as name:
        error = _error_of(lambda: case.write(Path(name) / case.writer.filename, genes=("NO_SUCH_GENE",)))
        left = list(Path(name).iterdir())
    # a format that holds no genes has none to refuse
    if error is None and case.writer.all_genes:
        return
    sentence = "A gene that was not predicted is a UsageError of one line, and nothing is written."
    expect(isinstance(error, UsageError) and "\n" not in str(error), case.name, sentence, repr(error))
    expect(not left, case.name, sentence, [item.name for item in left])


#: each is a function of a case that raises a ``PropertyError`` where the property does not hold
WRITER_PROPERTIES: Mapping[str, Callable[[WriterCase], None]] = {
    check.__name__: check for check in (written, same_bytes, full_disk, unknown_genes)
}


def check_writer(
    writer: Writer | str, *, section: Section | None = None, prediction: AnyPrediction | None = None
) -> None:
    """Check that a writer has the properties that the writers of this package have.

    They are: what it declares stands at the path, whole, and nothing beside it; the same bytes each time; the previous
    content where the disk is full; a sentence for a gene that was not predicted. Whether another tool can read the file
    is for a test of its own.

    Parameters
    ----------
    writer
        A registry entry, or the name of a registered one.
    section, prediction
        What to write; by default a prediction by factors between the spots of a small synthetic section, and at cells
        there for a format that refuses other locations.

    Raises
    ------
    PropertyError
        For the first property that does not hold, with what was seen.
    UsageError
        For one of section and prediction without the other.

    Examples
    --------
    >>> from histosge.testing import check_writer
    >>> check_writer("h5ad")
    """
    entry = WRITERS[writer] if isinstance(writer, str) else writer
    if (section is None) != (prediction is None):
        raise UsageError("Expected `section` and `prediction` together, got one of them.")
    if section is None or prediction is None:
        section = synthetic(columns=8, rows=8, genes=12).section
        prediction = _between_spots(section)
        if entry.refuse is not None:
            prediction = _at_cells(section, prediction)
    genes = tuple(str(gene) for gene in prediction.genes[:2])
    case = WriterCase(entry, section, prediction, genes)
    for check in WRITER_PROPERTIES.values():
        check(case)


def _between_spots(section: Section) -> FactoredPrediction:
    """Return a prediction by factors at an upsampled lattice."""
    panel, spots = select(section, "all"), Inputs(at_spots(section))
    predictor = build_model("cokriging", "positions").fit(samples_of(section, panel, spots))
    return cast(FactoredPredictor, predictor).factored(Inputs(upsampled(section, 4)))


def _at_cells(section: Section, prediction: FactoredPrediction) -> FactoredPrediction:
    """Return the same scores at square cells."""
    import shapely

    xy_um = prediction.locations.xy
    ids = np.array([f"cell {row}" for row in range(len(xy_um))])
    cells = Cells(ids, xy_um, outlines=shapely.buffer(shapely.points(xy_um), 5.0, cap_style="square"))
    return replace(prediction, locations=at_cells(section, cells))


def content(path: Path) -> str:
    """Return a hash of the bytes of a file, or of all files of a folder."""
    files = [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file())
    digest = hashlib.sha256()
    for item in files:
        digest.update(str(item.relative_to(path)).encode() + item.read_bytes())
    return digest.hexdigest()


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Make the operating system refuse writes beyond ``size`` bytes, as it does on a full disk."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _largest(path: Path) -> int:
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    return max((item.stat().st_size for item in files), default=0)


def _error_of(action: Callable[[], object]) -> Exception | None:
    try:
        action()
    # whatever a format's library raises: the caller says what was expected instead
    except Exception as error:
        return error
    return None
