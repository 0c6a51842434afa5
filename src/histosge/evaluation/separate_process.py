"""Work done in a separate process: it is given its arguments, and knows nothing else of this one."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from histosge import errors
from histosge._runtime.types import Array
from histosge.errors import DataError, HistosgeError

from .file_access import close_files, inside, record_opened_files

__all__ = ["Failure", "Outcome", "run_separately", "serve"]

_JOB, _RESULT = "job.pickle", "result.pickle"
_COMMAND = "from histosge.evaluation.separate_process import serve; serve()"
# variables of the environment that say where the computer keeps what, and how many threads to use; the others may name
# the section
_VARIABLES = (
    "PATH HOME USER USERNAME LOGNAME USERPROFILE SYSTEMROOT SYSTEMDRIVE WINDIR COMSPEC APPDATA LOCALAPPDATA PATHEXT "
    "PROGRAMDATA TEMP TMP TMPDIR LANG LANGUAGE TZ VIRTUAL_ENV PYTHONHASHSEED PYTHONHOME PYTHONWARNINGS PYTHONUTF8 "
    "HTTP_PROXY HTTPS_PROXY NO_PROXY SSL_CERT_FILE REQUESTS_CA_BUNDLE"
)
_PREFIXES = (
    "OMP_ MKL_ OPENBLAS_ BLIS_ VECLIB_ NUMEXPR_ KMP_ GOMP_ CUDA_ CUBLAS_ NVIDIA_ PYTORCH_ TORCH_ HF_ XDG_ LC_ LD_ "
    "DYLD_ CONDA_"
)


@dataclass(frozen=True, slots=True)
class Failure:
    """How work ended that did not end well: the type of the error and its first line."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}" if self.text else self.kind


@dataclass(frozen=True, slots=True)
class Outcome:
    """What work in a separate process came to.

    Parameters
    ----------
    value
        What it returned, or how it failed.
    opened
        Closed files that it opened, or tried to.
    """

    value: Any
    opened: tuple[str, ...]


def run_separately(work: Callable[..., Any], *arguments: Any, closed: Sequence[Path] = ()) -> Outcome:
    """Run ``work(*arguments)`` in a new Python process and return what it came to.

    The process inherits neither memory nor command line nor working folder nor variables of the environment, except
    those that say where programs and caches are. Its working folder is empty. It finds modules where this one does.

    Parameters
    ----------
    work
        A function of a module.
    arguments
        They are pickled.
    closed
        Files and folders that it must not read. Linux refuses them; elsewhere it is recorded what Python opens.

    Raises
    ------
    HistosgeError
        Of the same class and with the same sentence, where the work raises one and has opened no closed file.
    DataError
        Where the arguments cannot be pickled.
    """
    try:
        content = _pickled((work, arguments))
    except Exception as error:
        raise DataError(
            f"A plug-in cannot be sent to a process of its own ({_first_line(error)}). Define its classes at the top "
            "level of a module."
        ) from error
    with TemporaryDirectory(prefix="histosge-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / _JOB).write_bytes(pickle.dumps(([str(path) for path in closed], content)))
        ended = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _COMMAND],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if not (folder / _RESULT).exists():
            return Outcome(Failure(f"exit code {ended.returncode}", _last_line(ended.stderr)), ())
        value, opened = pickle.loads((folder / _RESULT).read_bytes())
    touched = tuple(inside(opened, closed))
    # a refusal of its own is a sentence already, unless it comes from reading what is closed
    if isinstance(value, Failure) and value.kind in errors.__all__ and not touched:
        raise getattr(errors, value.kind)(value.text)
    return Outcome(value, touched)


def serve() -> None:
    """Do the work that lies in the working folder; called in the separate process."""
    closed, content = pickle.loads(Path(_JOB).read_bytes())
    result = Path(_RESULT).resolve()
    os.unlink(_JOB)
    close_files(map(Path, closed))
    # code that searches this process for the section must not have its path
    del closed
    opened = record_opened_files()
    value: Any
    try:
        work, arguments = pickle.loads(content)
        value = work(*arguments)
    # whatever the code of another package raises
    except Exception as error:
        whole = isinstance(error, HistosgeError)
        value = Failure(type(error).__name__, str(error) if whole else _first_line(error))
    draft = result.with_suffix(".draft")
    draft.write_bytes(pickle.dumps((value, list(opened))))
    draft.replace(result)


class _Pickler(pickle.Pickler):
    """Arrays arrive as they were sent: with memory and order of their own, read-only where they were."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is not np.ndarray or value.dtype.hasobject or value.dtype.names:
            return NotImplemented
        order = "C" if value.flags.c_contiguous or not value.flags.f_contiguous else "F"
        return _array, (value.tobytes(), value.dtype.str, value.shape, order, value.flags.writeable)


def _array(
    content: bytes, dtype: str, shape: tuple[int, ...], order: Literal["C", "F"], writeable: bool
) -> Array:
    values = np.frombuffer(content, dtype=dtype).reshape(shape).copy(order=order)
    values.flags.writeable = writeable
    return values


def _pickled(value: Any) -> bytes:
    stream = BytesIO()
    _Pickler(stream).dump(value)
    return stream.getvalue()


def _environment() -> dict[str, str]:
    names, prefixes = _VARIABLES.split(), tuple(_PREFIXES.split())
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in names or name.upper().startswith(prefixes)
    }
    return kept | {"PYTHONPATH": os.pathsep.join(_module_folders()), "PYTHONDONTWRITEBYTECODE": "1"}


def _module_folders() -> list[str]:
    """Return where modules are found; the current folder only where modules were imported from it."""
    here = os.path.abspath(os.curdir)
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    used = any(os.path.dirname(os.path.abspath(file)) == here for file in files if file)
    folders = (os.path.abspath(path) for path in sys.path)
    return [
        folder for folder in dict.fromkeys(folders) if os.path.exists(folder) and (folder != here or used)
    ]


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "")


def _last_line(text: bytes) -> str:
    return next(iter(reversed(text.decode(errors="replace").strip().splitlines())), "")
