"""What may be replaced: files that this program wrote, unless they are an input of the same command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from histosge._runtime.hashing import fingerprint_path
from histosge.errors import DataError, UsageError

from .run_record import RUN, read_run
from .writers import WRITERS

__all__ = [
    "is_own",
    "refuse_foreign",
    "refuse_foreign_outputs",
    "refuse_inputs",
    "refuse_mixture",
    "run_files",
]

# bytes at the start of a file that are enough to recognise it
_START = 1 << 16


def run_files(folder: Path) -> Mapping[str, str]:
    """Return the files of the run in a folder with the hashes of their content; none without a readable record."""
    try:
        return dict(read_run(folder).get("files", {}))
    except (UsageError, DataError):
        return {}


def refuse_mixture(folder: Path, record: Mapping[str, Any], needed: str) -> None:
    """Refuse a folder whose files are not those of its run.

    Parameters
    ----------
    folder, record
        The folder of a run, and its ``run.json``.
    needed
        Name of the file that is to be read; others may have been deleted, but not replaced.

    Raises
    ------
    DataError
        When files were replaced or changed, or the needed one is another run's.
    """
    files: Mapping[str, str] = record.get("files") or {}
    # records of a test or of another tool may have no list
    if not files:
        return
    again = "Run `histosge run` again, or choose another folder."
    if needed not in files:
        raise DataError(
            f"'{folder / needed}' is not a file of the run in that folder, as {RUN} lists them. {again}"
        )
    for name, content in files.items():
        if (folder / name).exists() and fingerprint_path(folder / name) != content:
            raise DataError(
                f"'{folder / name}' is not the file that {RUN} lists: it was changed, or another run was interrupted "
                f"there. {again}"
            )


def is_own(path: Path) -> bool:
    """Return whether a file or folder was written by this program, and nothing was added to it."""
    if path.is_dir():
        return any(_recognised(path))
    return any(test(path) for test in _BY_SUFFIX.get(path.suffix, ())) or any(_recognised(path))


def refuse_foreign(path: Path) -> None:
    """Refuse to replace a file or folder that this program did not write.

    Raises
    ------
    UsageError
        For such a file, and a folder with any content of its own.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if path.is_dir() and (path / RUN).is_file():
        raise UsageError(f"'{path}' is the folder of a run; choose another `out`.")
    if path.name in run_files(path.parent):
        raise UsageError(f"'{path}' belongs to the run in '{path.parent}'; choose another `out`.")
    if not is_own(path):
        raise _foreign(path)


def refuse_foreign_outputs(paths: Iterable[Path], folder: Path) -> None:
    """Refuse to replace outputs in the folder of a run that this program did not write.

    Raises
    ------
    UsageError
        For the first such file or folder.
    """
    files = run_files(folder)
    for path in paths:
        if not path.exists() or (path.is_dir() and not any(path.iterdir())) or is_own(path):
            continue
        listed = files.get(path.relative_to(folder).as_posix())
        if listed is None or fingerprint_path(path) != listed:
            raise _foreign(path)


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path | None]) -> None:
    """Refuse outputs that are an input, or a folder with an input in it.

    Raises
    ------
    UsageError
        For the first such output.
    """
    sources = [source.resolve() for source in inputs if source is not None and source.exists()]
    for output in outputs:
        resolved = output.resolve()
        if output.exists() and any(resolved == source or resolved in source.parents for source in sources):
            raise UsageError(
                f"'{output}' is an input that this command would overwrite; choose another `out`."
            )


def _foreign(path: Path) -> UsageError:
    kind = "folder" if path.is_dir() else "file"
    return UsageError(f"'{path}' is a {kind} that histosge did not write; choose another `out`.")


def _recognised(path: Path) -> Iterable[bool]:
    return (entry.recognises is not None and entry.recognises(path) for entry in WRITERS.values())


def _has(*texts: bytes, every: bool = False, at_end: bool = False) -> Callable[[Path], bool]:
    """Return a function that finds one of some texts, or every one, near the start of a file, or near its end."""

    def test(path: Path) -> bool:
        try:
            with path.open("rb") as stream:
                if at_end:
                    stream.seek(max(0, path.stat().st_size - _START))
                part = stream.read(_START)
        except OSError:
            return False
        return (all if every else any)(text in part for text in texts)

    return test


def _is_domains(path: Path) -> bool:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "uns/domains/record_json" in file
    except (OSError, RuntimeError, KeyError):
        return False


# tags that the writers of figures, pages and records leave
_BY_SUFFIX: Mapping[str, tuple[Callable[[Path], bool], ...]] = {
    ".png": (_has(b"Software\0histosge"),),
    ".html": (_has(b'<meta name="generator" content="histosge'),),
    ".json": (_has(b'"checksum"', b'"histosge"', b'"fingerprint"', b'"trials"', b'"rows"'),),
    ".h5ad": (_is_domains,),
    # domains, the spots of a split, effective resolutions, detections
    ".tsv": (
        _has(b"location\tx_um\ty_um"),
        _has(b"spot\tset\n"),
        _has(b"gene\tresolution_um\t"),
        _has(b"gene\ttile\tx_um\t"),
    ),
    # scores: names of the columns are at the end, where Parquet keeps its schema
    ".parquet": (
        _has(b"section", b"split", b"preset", b"encoder", every=True, at_end=True),
        _has(b"layout", b"scale", b"zone", b"encoder", every=True, at_end=True),
        _has(b"layout", b"scale", b"zone", b"ceiling_given_depth", every=True, at_end=True),
        _has(b"section", b"split", b"ceiling_given_depth", b"expression", every=True, at_end=True),
        _has(b"level", b"system", b"difference_error", b"absent", every=True, at_end=True),
    ),
    ".md": (
        _has(
            b"| model | PCC test |",
            b"| model | PCC | inside |",
            b"| system | r test |",
            b"| system | section | r test |",
            b"| system | scale | r |",
        ),
    ),
}
