"""Readers: one file a format.

A reader is a :class:`Reader` in ``ENTRIES`` of a module in this folder, or an entry point in the group
``histosge.readers`` of another package.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from histosge._runtime.messages import Message, emit
from histosge._runtime.registry import Registry
from histosge.errors import DataError, UsageError
from histosge.section.section import Section

from .base import Reader, ReadOptions
from .count_values import count_warnings
from .image_choice import in_memory
from .uploads import holds_several, is_archive, unpacked_sample

__all__ = ["READERS", "read"]


READERS: Registry[Reader] = Registry("reader", Reader, [__name__], order=lambda reader: reader.priority)


def read(
    path: str | Path,
    *,
    image: str | Path | None = None,
    mpp: float | None = None,
    name: str | None = None,
    reader: str | None = None,
    bin_um: float | None = None,
    library_id: str | None = None,
    trust_alignment: bool = False,
) -> Section:
    """Read a section of any known format.

    Parameters
    ----------
    path
        A Space Ranger folder, a Visium HD folder, a legacy ST folder, an h5ad, a SpatialData zarr; a tar or zip of one
        of them, or of several samples; or an image without measured spots.
    image
        File of the full-resolution image; by default the sharpest image of the section.
    mpp
        µm per full-resolution pixel; by default it follows from the pitch of the spots, or is the file's.
    name
        Name of the section; by default that of its folder or file.
    reader
        Name of the format, of :data:`READERS`; by default it is detected.
    bin_um
        Bin size of Visium HD in µm; by default 16, or the largest where there are no such bins. Where there are only
        bins below 8 µm, these are summed until half of them hold 50 molecules; bins are also summed for a size that is
        a multiple of theirs.
    library_id
        Library inside an h5ad, region of a SpatialData store, or sample of an archive or of a folder with the files of
        several samples.
    trust_alignment
        Accept an image that does not match the coordinates, which is an error otherwise.

    Raises
    ------
    UsageError
        When the path, the format or an option does not exist.
    DataError
        When the data are damaged or do not belong together.

    Examples
    --------
    >>> from histosge.datasets.synthetic import synthetic, write_spaceranger
    >>> folder = write_spaceranger(synthetic(columns=8, rows=8, genes=12).section, Path("outs"))
    >>> len(read(folder).genes)
    12
    """
    path = Path(path)
    if not path.exists():
        raise UsageError(f"Expected a section, found nothing at '{path}'. Check the path.")
    options = ReadOptions(
        image=None if image is None else Path(image),
        mpp=mpp,
        name=name,
        bin_um=bin_um,
        library_id=library_id,
        trust_alignment=trust_alignment,
    )
    section = _read(path, reader, options)
    if not trust_alignment:
        from histosge.section.alignment import refuse_misaligned

        section = refuse_misaligned(section)
    emit(section.messages)
    return replace(section, sources=_sources(section, path, options.image))


def _read(path: Path, reader: str | None, options: ReadOptions) -> Section:
    """Read a section of a path, or of one sample of an archive."""
    if not is_archive(path) and not holds_several(path, is_section=_has_format(path)):
        return _read_by(_detected(path) if reader is None else READERS[reader], path, options)
    with unpacked_sample(path, options.library_id) as (folder, rest):
        inside = _section_in(folder)
        entry = _detected(inside, path) if reader is None else READERS[reader]
        section = _read_by(entry, inside, replace(options, library_id=rest))
        text = f"Sample '{folder.name}' of '{path.name}'."
        return in_memory(section, folder).with_messages(Message("info", text))


def _read_by(entry: Reader, path: Path, options: ReadOptions) -> Section:
    """Read with a reader; refuse a choice that it has no use for, which the user would believe to be followed."""
    for choice, of in (("bin_um", "bins of Visium HD"), ("library_id", "one of several sections in a file")):
        if getattr(options, choice) is not None and choice not in entry.choices:
            raise UsageError(
                f"`{choice}` chooses {of}, but '{path.name}' is read as {entry.name}, which has none. Leave it out, or "
                "give the path that it was meant for."
            )
    section = entry.read(path, options)
    return section.with_messages(*count_warnings(section.counts)) if section.has_counts else section


_TABLES = (".csv", ".tsv", ".txt")


def _has_format(path: Path) -> bool:
    return any(entry.detect(path) for entry in READERS.values())


def _section_in(folder: Path) -> Path:
    """Return the folder of a sample, or the only file or folder of a known format in it."""
    if _has_format(folder):
        return folder
    inside = [item for item in sorted(folder.iterdir()) if _has_format(item)]
    return inside[0] if len(inside) == 1 else folder


def _sources(section: Section, path: Path, image: Path | None) -> tuple[Path, ...]:
    """Return what a section was read from: the path, the image that the user gave, and the one that was found."""
    loaded = None if section.slide is None else getattr(section.slide.backend, "path", None)
    return tuple(dict.fromkeys(source for source in (path, image, loaded) if source is not None))


def _detected(path: Path, named: Path | None = None) -> Reader:
    """Return the reader of a path, which errors name by the archive that it was taken from."""
    for entry in READERS.values():
        if entry.detect(path):
            return entry
    known = "; ".join(entry.summary for entry in READERS.values())
    raise DataError(f"'{named or path}' has no known format.{_about_tables(path)} Readers: {known}.")


def _about_tables(path: Path) -> str:
    """Return how a table is to be given, where there is one that no reader knows."""
    files = [path] if path.is_file() else list(path.iterdir()) if path.is_dir() else []
    if not any(file.name.lower().removesuffix(".gz").endswith(_TABLES) for file in files):
        return ""
    return (
        " A table by itself is not read: of spots or cells give an h5ad with their counts in X and their pixels in "
        'obsm["spatial"]; of legacy ST a folder with counts.tsv.gz, spots.tsv and the image.'
    )
