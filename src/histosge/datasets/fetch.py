"""Fetch public data sets; the SHA-256 of each file is recorded at its first download and checked afterwards."""

from __future__ import annotations

import csv
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec

from histosge._runtime.atomic_files import atomic_path, writable_folder
from histosge._runtime.messages import Message, emit
from histosge.errors import DataError

from .public import PublicDataset, Remote

__all__ = ["LOCK", "default_folder", "fetch"]

LOCK = "datasets.lock.json"
_MATRIX = "filtered_feature_bc_matrix.h5"
_TIMEOUT_S = 60.0
_SHA256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


def default_folder() -> Path:
    """Return the user's folder for data."""
    import platformdirs

    return Path(platformdirs.user_data_dir("histosge")) / "datasets"


def fetch(
    dataset: PublicDataset,
    folder: Path,
    *,
    image: bool = True,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Fetch a data set into ``folder`` and return its own folder there, a Space Ranger one.

    Files that are there already are not fetched again. The SHA-256 of each file is written into
    ``folder/datasets.lock.json`` at its first download; a file with another hash is refused afterwards. Publish that
    file with a paper, so that readers get the same data: put into their folder, it decides which files are accepted. No
    hashes come with this package. A data set with another number of spots than its description is named in a warning.

    Parameters
    ----------
    dataset
        Entry of :data:`histosge.datasets.public.PUBLIC`.
    folder
        Where data sets are kept.
    image
        Whether to fetch the full-resolution image too.
    progress
        Called with (done, total, text) for every file.

    Raises
    ------
    DataError
        When a file cannot be fetched, or is not the one pinned.
    OutputError
        When the disk is full.
    """
    home = writable_folder(folder) / dataset.name
    remotes = [remote for remote in dataset.files if image or not remote.image]
    for done, remote in enumerate(remotes):
        if progress is not None:
            progress(done, len(remotes), f"fetching {dataset.name}")
        if not _is_present(home, remote):
            _fetch_file(remote, home, folder / LOCK)
    if progress is not None:
        progress(len(remotes), len(remotes), f"fetching {dataset.name}")
    if dataset.layers:
        _write_layers(home / dataset.layers, dataset.name.rpartition("/")[2], home / "layers.tsv")
    emit(_spot_messages(dataset, home / _MATRIX))
    return home


def _spot_messages(dataset: PublicDataset, matrix: Path) -> list[Message]:
    """Return a warning where the matrix has another number of spots than the description of the data set."""
    import h5py

    if not matrix.exists():
        return []
    try:
        with h5py.File(matrix) as file:
            spots = len(file["matrix/barcodes"])
    except (OSError, KeyError, TypeError) as error:
        raise DataError(
            f"'{matrix}' is no matrix of Space Ranger, or a damaged one ({error}). Delete it, and fetch it again."
        ) from error
    if spots == dataset.spots:
        return []
    text = f"'{dataset.name}' has {spots} spots, expected {dataset.spots}: it is not the data set of the paper's table."
    return [Message("warning", text)]


def _is_present(home: Path, remote: Remote) -> bool:
    return (home / _unpacked(remote)).exists()


def _unpacked(remote: Remote) -> str:
    return remote.path.removesuffix(".tar.gz")


def _fetch_file(remote: Remote, home: Path, lock: Path) -> None:
    """Fetch one file, check or record its hash, and move it to its folder."""
    # in the temporary folder of the file, which is swept where a download was killed
    with atomic_path(home / _unpacked(remote)) as draft:
        download = _downloaded(remote, draft.parent)
        _pin(remote, _sha256(download), lock)
        if remote.path.endswith(".tar.gz"):
            _unpack(download, draft)


def _downloaded(remote: Remote, folder: Path) -> Path:
    import pooch

    pooch.get_logger().setLevel("ERROR")
    try:
        name = remote.path.rpartition("/")[2]
        loader = pooch.HTTPDownloader(timeout=_TIMEOUT_S)
        return Path(pooch.retrieve(remote.url, known_hash=None, fname=name, path=folder, downloader=loader))
    except OSError as error:
        # requests' own errors are OSErrors too
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise DataError(
            f"'{remote.url}' could not be fetched ({reason}). Check the network, or fetch it another way to "
            f"'{remote.path}' in the data set's folder."
        ) from error


def _sha256(path: Path) -> str:
    import pooch

    return str(pooch.file_hash(str(path), alg="sha256"))


def _pin(remote: Remote, sha256: str, lock: Path) -> None:
    """Compare the hash with that of the first download, or record it."""
    try:
        pinned = _pinned(lock)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"The lock file '{lock}' is damaged ({error}). Delete it to pin files anew."
        ) from error
    known = pinned.get(remote.url)
    if known is not None and known != sha256:
        raise DataError(
            f"'{remote.url}' is not the file that was fetched first: expected SHA-256 {known}, got {sha256}. "
            f"Remove its line from '{lock}' to accept the new one."
        )
    if known is None:
        with atomic_path(lock) as draft:
            draft.write_text(json.dumps(pinned | {remote.url: sha256}, indent=1, sort_keys=True) + "\n")


def _pinned(lock: Path) -> dict[str, str]:
    """Return the SHA-256 of files by their addresses."""
    content = json.loads(lock.read_text(encoding="utf-8")) if lock.exists() else {}
    return msgspec.convert(content, dict[str, _SHA256])


def _unpack(archive: Path, target: Path) -> None:
    """Unpack an archive that holds the folder ``target`` beside it; members outside are refused by Python."""
    try:
        with tarfile.open(archive) as content:
            content.extractall(target.parent, filter="data")
        if not target.is_dir():
            raise DataError(f"Expected a folder '{target.name}' in '{archive.name}', found none.")
    except (tarfile.TarError, EOFError) as error:
        raise DataError(
            f"'{archive.name}' is no archive, or a damaged one ({error}). Fetch it again."
        ) from error


def _write_layers(source: Path, section: str, target: Path) -> None:
    """Keep a section's rows of the table of layers, as barcode and layer; an empty layer is not annotated."""
    if target.exists() or not source.exists():
        return
    with source.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.reader(stream, delimiter="\t") if len(row) >= 3 and row[1] == section]
    with atomic_path(target) as draft:
        lines = [f"{barcode}\t{'' if layer == 'NA' else layer}" for barcode, _, layer, *_ in rows]
        draft.write_text("\n".join(["barcode\tlayer", *lines]) + "\n", encoding="utf-8")
