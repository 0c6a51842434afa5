"""Finding and reading an encoder's weights; every failure is one sentence that states what to do.

Weights come from a file of the user's, or from the Hugging Face hub with the user's own login, which
``huggingface_hub`` keeps and this package never sees. Nothing here ever falls back to random weights.
"""

from __future__ import annotations

import pickle
import ssl
import struct
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from histosge._runtime.device import has_deep
from histosge._runtime.hashing import fingerprint_file
from histosge._runtime.messages import Message, emit
from histosge.errors import WeightsError

from .base import EncoderCard, EncoderEntry

if TYPE_CHECKING:
    import torch

    Tensor: TypeAlias = torch.Tensor
else:
    # run-time type checkers must not import torch
    Tensor = Any

# a torch.nn.Module, whose attributes are unknown to type checkers
Module: TypeAlias = Any

__all__ = [
    "PUBLISHED",
    "Module",
    "State",
    "Tensor",
    "content_hash",
    "find_weights",
    "has_weights",
    "is_cached",
    "read_state",
]

State: TypeAlias = "Mapping[str, Tensor]"

# the names under which the hub's repositories publish weights
PUBLISHED = ("model.safetensors", "pytorch_model.bin", "pytorch_model_vision.bin")

_TORCH_SUFFIXES = (".bin", ".pth", ".pt", ".ckpt")

# published layouts nest the file, e.g. assets/ckpts/uni/pytorch_model.bin or snapshots/<revision>/…
_DEEPEST = 4

# without a network the hub's own retries take half a minute; one request is enough
_TIMEOUT_S = 5.0

# what torch.load raises for damaged files, depending on where the damage is
_UNREADABLE = (
    RuntimeError,
    EOFError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
)


def find_weights(card: EncoderCard, files: tuple[str, ...], local: Path | None = None) -> Path:
    """Return the file of ``card``'s weights: ``local``, else the copy on this machine, else the hub's.

    Parameters
    ----------
    card
        Names the hub's repository (``source``, ``revision``) and whether it is gated.
    files
        Names under which the weights are published, the preferred one first.
    local
        A file, or a folder that holds one of ``files``, at most four levels down.

    Raises
    ------
    WeightsError
        When they cannot be had; the message states how to get them.
    """
    if local is not None:
        return _local(card, files, local.expanduser())
    cached = _cached(card, files)
    return cached if cached is not None else _download(card, files)


def is_cached(card: EncoderCard) -> bool:
    """Return whether the hub's weights of ``card`` are on this computer; makes no request."""
    return _cached(card, PUBLISHED) is not None


def has_weights(entry: EncoderEntry) -> bool:
    """Return whether an encoder could run now: it has no weights, or they are on this computer; makes no request.

    A plug-in whose own answer fails has none, and is named in one warning.
    """
    if entry.has_weights is None:
        return entry.card.source is None or is_cached(entry.card)
    try:
        return bool(entry.has_weights())
    # whatever the code of another package raises
    except Exception as error:
        emit(
            [Message("warning", f"'{entry.card.name}' cannot tell whether its weights are here: {error!r}.")]
        )
        return False


def content_hash(path: Path) -> str:
    """Return 32 hex digits of the file's content, read once a process as long as the file stays as it is."""
    summary = path.stat()
    return _content_hash(path, summary.st_size, summary.st_mtime_ns)


@lru_cache(maxsize=32)
def _content_hash(path: Path, size: int, mtime_ns: int) -> str:
    return fingerprint_file(path)


def read_state(path: Path, name: str) -> dict[str, Tensor]:
    """Return the tensors of a ``.safetensors`` or PyTorch file by name; runs no code from the file.

    A file that wraps them in ``state_dict`` or ``model``, or prefixes them with ``module.``, is unwrapped.

    Raises
    ------
    WeightsError
        When the file is of another kind, truncated, or holds anything but tensors.
    """
    suffix = path.suffix.lower()
    if suffix != ".safetensors" and suffix not in _TORCH_SUFFIXES:
        kinds = ", ".join((".safetensors", *_TORCH_SUFFIXES))
        raise WeightsError(f"Expected weights of '{name}' in a file that ends in {kinds}, got '{path}'.")
    _refuse_pointer(path, name)
    content = _read_safetensors(path, name) if suffix == ".safetensors" else _read_torch(path, name)
    return _tensors(content, path, name)


def _read_safetensors(path: Path, name: str) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(_damaged(path, name, error)) from error


def _read_torch(path: Path, name: str) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (*_UNREADABLE, OSError) as error:
        raise WeightsError(_damaged(path, name, error)) from error


def _damaged(path: Path, name: str, error: BaseException) -> str:
    lines = str(error).splitlines()
    reason = f"{type(error).__name__}: {lines[0][:120]}" if lines else type(error).__name__
    return (
        f"The weights of '{name}' in '{path}' cannot be read ({reason}); "
        "the file is truncated or holds more than tensors: download it again."
    )


def _refuse_pointer(path: Path, name: str) -> None:
    try:
        with path.open("rb") as stream:
            head = stream.read(40)
    except OSError as error:
        raise WeightsError(_damaged(path, name, error)) from error
    if head.startswith(b"version https://git-lfs"):
        raise WeightsError(
            f"'{path}' is a Git LFS pointer to the weights of '{name}', not the weights: run `git lfs pull` there."
        )


def _tensors(content: Any, path: Path, name: str) -> dict[str, Tensor]:
    import torch

    if isinstance(content, Mapping):
        for wrapper in ("state_dict", "model"):
            if isinstance(content.get(wrapper), Mapping):
                content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"Expected named tensors of '{name}' in '{path}', got {type(content).__name__}.")
    strangers = [key for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if strangers:
        raise WeightsError(
            f"Expected only tensors of '{name}' in '{path}', but '{strangers[0]}' is none; give a plain state dict."
        )
    wrapped = all(str(key).startswith("module.") for key in content)
    return {
        str(key).removeprefix("module.") if wrapped else str(key): value for key, value in content.items()
    }


def _local(card: EncoderCard, files: tuple[str, ...], path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise WeightsError(f"Expected the weights of '{card.name}' at '{path}', but there is no such file.")
    for depth in range(_DEEPEST + 1):
        for file in files:
            matches = sorted(match for match in path.glob("*/" * depth + file) if match.is_file())
            if len(matches) > 1:
                raise WeightsError(
                    f"Expected one {file} of '{card.name}' in '{path}', found {len(matches)}: "
                    f"name the file itself, such as '{matches[0]}'."
                )
            if matches:
                return matches[0]
    raise WeightsError(f"Expected {' or '.join(files)} of '{card.name}' in the folder '{path}', found none.")


def _cached(card: EncoderCard, files: tuple[str, ...]) -> Path | None:
    if card.source is None or "://" in card.source or not has_deep():
        return None
    from huggingface_hub import try_to_load_from_cache

    for file in files:
        cached = try_to_load_from_cache(card.source, file, revision=card.revision)
        if isinstance(cached, str):
            return Path(cached)
    return None


def _download(card: EncoderCard, files: tuple[str, ...]) -> Path:
    """Fetch the first of ``files`` that the hub has, with the user's own login."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )
    from huggingface_hub.errors import HTTPError as TransportError

    if not _hub_is_reachable():
        raise WeightsError(_unreachable(card, files))
    for file in files:
        try:
            return Path(hf_hub_download(card.source, file, revision=card.revision))
        except GatedRepoError as error:
            raise WeightsError(_refused(card)) from error
        except RepositoryNotFoundError as error:
            # the hub denies the existence of what a stranger may not see
            raise WeightsError(_refused(card) if card.gated else _gone(card, files)) from error
        except LocalEntryNotFoundError as error:
            # the hub's refusal hides behind the sentence that nothing is on this machine
            if isinstance(error.__cause__, HfHubHTTPError):
                raise WeightsError(_http(card, files, error.__cause__)) from error
            raise WeightsError(_unreachable(card, files)) from error
        except EntryNotFoundError:
            continue
        except HfHubHTTPError as error:
            raise WeightsError(_http(card, files, error)) from error
        except (TransportError, OSError, RuntimeError) as error:
            raise WeightsError(_interrupted(card, error)) from error
    raise WeightsError(_gone(card, files))


def _hub_is_reachable() -> bool:
    """Ask the hub once; any reply, an HTTP error included, means that it is reachable."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        with urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=_TIMEOUT_S):
            return True
    except HTTPError:
        return True
    except URLError as error:
        # a certificate of the user's own network is for the hub's client to judge
        return isinstance(error.reason, ssl.SSLError)
    except OSError:
        return False


def _page(card: EncoderCard) -> str:
    return f"https://huggingface.co/{card.source}"


def _refused(card: EncoderCard) -> str:
    return (
        f"The weights of '{card.name}' are gated: ask for access at {_page(card)} with your own account, "
        "run `hf auth login`, and try again, or give the path of a file you have as `weights`."
    )


def _unreachable(card: EncoderCard, files: tuple[str, ...]) -> str:
    asking = " (ask for access there first)" if card.gated else ""
    return (
        f"The weights of '{card.name}' are not on this machine and the Hugging Face hub cannot be reached: "
        f"go online, or fetch {files[0]} from {_page(card)}{asking} "
        "on another computer and give its path as `weights`, or take the `encoder` texture, which needs none."
    )


def _gone(card: EncoderCard, files: tuple[str, ...]) -> str:
    return (
        f"The hub has no {' or '.join(files)} of '{card.name}' at {_page(card)}: "
        "give the path of the file you have as `weights`."
    )


def _http(card: EncoderCard, files: tuple[str, ...], error: Any) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return _refused(card)
    return (
        f"The hub did not hand out the weights of '{card.name}' (HTTP status {status}): try again later, "
        f"or fetch {files[0]} from {_page(card)} yourself and give its path as `weights`."
    )


def _interrupted(card: EncoderCard, error: BaseException) -> str:
    return (
        f"The download of the weights of '{card.name}' stopped ({type(error).__name__}): check the network and "
        "the free disk space and run the same command again; it goes on where it stopped."
    )
