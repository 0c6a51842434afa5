"""Sections as archives of data keep them: tar and zip files, and folders with the files of several samples."""

from __future__ import annotations

import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from histosge.errors import DataError, UsageError

from .sample_names import ARCHIVES, Sample, is_archive_name, is_folder_of_section, samples_of

__all__ = ["holds_several", "is_archive", "unpacked_sample"]

# archives inside of archives: a series, its samples, their folders
_DEEPEST = 3
# a section without its full-resolution image has less; above, an archive is damaged or made to fill the disk
_MOST_BYTES = 32 << 30
_CHUNK = 1 << 20
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, RuntimeError, OSError)

# how to open a file of an upload, by its path in it
Members = Mapping[str, Callable[[], IO[bytes]]]


def is_archive(path: Path) -> bool:
    """Return whether a path is a file with the name of an archive."""
    return path.is_file() and is_archive_name(path.name)


def holds_several(path: Path, *, is_section: bool) -> bool:
    """Return whether a folder holds, side by side, the files of several samples, or archives of samples.

    Parameters
    ----------
    path
        A file or a folder.
    is_section
        Whether the folder has the format of a section. Then archives and other whole files beside it are none of it,
        and files without a prefix are its own.
    """
    if not path.is_dir() or any((path / name).is_dir() for name in ("spatial", "outs", "binned_outputs")):
        return False
    samples = samples_of(item.name for item in path.iterdir() if item.is_file())
    complete = {name: sample for name, sample in samples.items() if sample.is_complete}
    if is_section:
        return "" not in complete and sum(not sample.is_whole for sample in complete.values()) > 1
    packed = any(is_archive_name(name) for sample in complete.values() for name in sample.files)
    return len(complete) > 1 or packed


@contextmanager
def unpacked_sample(path: Path, library_id: str | None) -> Iterator[tuple[Path, str | None]]:
    """Give a folder with the files of one sample of an upload, which is removed afterwards.

    Parameters
    ----------
    path
        An archive, or a folder with the files of several samples or with archives of samples.
    library_id
        The sample; by default the only one.

    Yields
    ------
    The folder, and the part of the choice that is left: ``None`` where ``library_id`` named a sample.

    Raises
    ------
    UsageError
        When there are several samples and ``library_id`` names none of them.
    DataError
        When the archive is damaged, holds no section, or would write outside of its folder.
    """
    with tempfile.TemporaryDirectory(prefix="histosge-") as folder:
        yield _unpacked(path, Path(folder), library_id, depth=1)


def _unpacked(path: Path, folder: Path, library_id: str | None, *, depth: int) -> tuple[Path, str | None]:
    """Unpack one sample into a folder, and return its own folder in it."""
    with _damage_as_sentence(path), _members(path) as members:
        samples = samples_of(members)
        sample, rest = _chosen(samples, path, library_id)
        target = folder / (PurePosixPath(sample.name).name or _stem(path.name))
        _extract(sample, members, target, path)
    for packed in sorted(item for item in target.rglob("*") if is_archive(item)):
        if depth >= _DEEPEST:
            raise DataError(f"'{path}' has archives inside of archives, {depth} deep. Unpack it.")
        if not is_folder_of_section(_stem(packed.name)):
            return _unpacked(packed, target / "unpacked", rest, depth=depth + 1)
        _unpack_folder(packed)
    return target, rest


def _unpack_folder(packed: Path) -> None:
    """Unpack an archive of one folder of a section, such as ``spatial.tar.gz``, in its target."""
    target = packed.parent / _stem(packed.name)
    with _damage_as_sentence(packed), _members(packed) as members:
        # its files are in a folder of that name, or at the top
        named = {name: f"/{name}".rpartition(f"/{target.name}/")[2].lstrip("/") for name in members}
        _extract(Sample(target.name, named), members, target, packed)
    packed.unlink()


def _chosen(samples: dict[str, Sample], path: Path, library_id: str | None) -> tuple[Sample, str | None]:
    """Return the sample to read, and the choice where it named none."""
    if not samples:
        raise DataError(
            f"'{path}' holds no files of a section: a matrix and positions, an h5ad, or a SpatialData store. Unpack "
            "it, and give the file or folder of the section."
        )
    by_name = {name or _stem(path.name): sample for name, sample in samples.items()}
    if library_id is not None:
        fitting = [name for name in by_name if library_id in (name, PurePosixPath(name).name)]
        if len(fitting) == 1:
            return by_name[fitting[0]], None
    if len(by_name) == 1:
        return next(iter(by_name.values())), library_id
    listed = ", ".join(sorted(by_name))
    if library_id is None:
        raise UsageError(f"'{path}' holds several samples: {listed}. Choose one with `library_id`.")
    raise UsageError(f"There is no sample '{library_id}' in '{path}'; it holds {listed}.")


@contextmanager
def _members(path: Path) -> Iterator[Members]:
    """Give the regular files of an archive, or those directly in a folder.

    Raises
    ------
    DataError
        For a path that leads out of the archive.
    """
    with _listed(path) as members:
        for name in members:
            if name.startswith("/") or "\\" in name or ".." in PurePosixPath(name).parts:
                raise DataError(
                    f"'{path}' has the file '{name}', which lies outside of it. Unpack it by hand."
                )
        yield members


@contextmanager
def _listed(path: Path) -> Iterator[Members]:
    if path.is_dir():
        yield {item.name: _opener(item) for item in sorted(path.iterdir()) if item.is_file()}
    elif path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            yield {
                entry.filename: lambda entry=entry: archive.open(entry)
                for entry in archive.infolist()
                if not entry.is_dir()
            }
    else:
        with tarfile.open(path) as archive:
            yield {
                entry.name: lambda entry=entry: archive.extractfile(entry)
                for entry in archive.getmembers()
                # links and devices are no data
                if entry.isfile()
            }


def _opener(path: Path) -> Callable[[], IO[bytes]]:
    return lambda: path.open("rb")


def _extract(sample: Sample, members: Members, target: Path, archive: Path) -> None:
    """Write the files of a sample into its folder, in the order in which the archive has them.

    Raises
    ------
    DataError
        For more bytes than a section has, or than the disk takes.
    """
    left = min(
        _MOST_BYTES, shutil.disk_usage(target.parent if target.parent.exists() else target.anchor).free
    )
    for name in (name for name in members if name in sample.files):
        inner = PurePosixPath(sample.files[name])
        path = target / inner
        path.parent.mkdir(parents=True, exist_ok=True)
        with members[name]() as source, path.open("wb") as copy:
            while chunk := source.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise DataError(
                        f"'{archive}' unpacks to more than {_MOST_BYTES >> 30} GiB, or than the disk of temporary "
                        "files has left. Unpack the section's files by hand."
                    )
                copy.write(chunk)


@contextmanager
def _damage_as_sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            # a full disk, or a permission
            raise
        raise DataError(f"'{path}' is damaged, cut short or no archive ({error}). Copy it again.") from error


def _stem(name: str) -> str:
    end = next((end for end in ARCHIVES if name.lower().endswith(end)), "")
    return name[: len(name) - len(end)]
