"""Strict loading: every tensor of a network comes from the file, every tensor of the file goes into the network."""

from __future__ import annotations

import re
from pathlib import Path

from histosge.errors import WeightsError

from .weights import Module, State

__all__ = ["disagreements", "load_strictly", "other_weights", "refuse_other_values", "torch_disagreements"]

# PyTorch fills this counter in, and old files lack it
_COUNTER = "num_batches_tracked"
# what torch.nn.Module.load_state_dict says of one tensor
_SHAPES = re.compile(r"size mismatch for (\S+): .*?Size\(\[([\d, ]*)\]\).*?Size\(\[([\d, ]*)\]\)")


def load_strictly(network: Module, state: State, *, name: str, path: Path) -> None:
    """Put ``state`` into ``network``, as float32, where every name and every shape must agree.

    ``network`` may have been made on the ``meta`` device: the tensors of ``state`` become its parameters, so
    that a billion random numbers need not be drawn first.

    Raises
    ------
    WeightsError
        When the file belongs to another network.
    """
    faults = disagreements(network.state_dict(), state)
    if faults:
        raise other_weights(name, path, faults)
    exact = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    network.load_state_dict(exact, strict=True, assign=True)
    absent = [key for key, value in (*network.named_parameters(), *network.named_buffers()) if value.is_meta]
    if absent:
        raise WeightsError(f"'{name}' needs values that its weights do not hold, such as '{absent[0]}'.")


def refuse_other_values(network: Module, state: State, *, prefix: str, name: str, path: Path) -> None:
    """Refuse a network that another package loaded, unless its tensors are those of the file.

    Packages load what they find and leave the rest as it was initialised.

    Parameters
    ----------
    network
        As the package returned it.
    state
        The tensors of the file.
    prefix
        Only tensors whose names begin with it are compared: the vector of a patch depends on no others.
    name, path
        Of the encoder, and of the file.

    Raises
    ------
    WeightsError
        When a tensor is missing, superfluous, of another shape, or has other values.
    """
    import torch

    expected = {key: value for key, value in network.state_dict().items() if key.startswith(prefix)}
    of_file = {key: value for key, value in state.items() if key.startswith(prefix)}
    faults = disagreements(expected, of_file)
    if faults:
        raise other_weights(name, path, faults)
    other = [
        key
        for key, value in of_file.items()
        # the package may hold them in another precision
        if not torch.allclose(value.float(), expected[key].float().cpu(), rtol=0.01, atol=1e-6)
    ]
    if other:
        raise WeightsError(
            f"'{name}' was loaded from '{path}' with other values than the file holds ({len(other)} tensors, e.g. "
            f"'{other[0]}'): install the version of its package that the authors publish."
        )


def other_weights(name: str, path: Path, faults: str) -> WeightsError:
    """Return the error that a file holds the weights of another network; ``faults`` says how one can tell."""
    return WeightsError(
        f"The weights in '{path}' are not those of '{name}' ({faults}); give the file published for '{name}'."
    )


def torch_disagreements(error: BaseException) -> str:
    r"""Return in a few words what PyTorch found wrong with a state; empty for any other error.

    Examples
    --------
    >>> text = 'Error(s) in loading state_dict for Net:\n\tMissing key(s) in state_dict: "a.weight", "b.weight". '
    >>> torch_disagreements(RuntimeError(text))
    "2 tensors missing, e.g. 'a.weight'"
    """
    missing: list[str] = []
    extra: list[str] = []
    shapes: list[tuple[str, str, str]] = []
    for line in str(error).splitlines():
        names = re.findall(r'"([^"]+)"', line)
        if "Missing key(s)" in line:
            missing += names
        elif "Unexpected key(s)" in line:
            extra += names
        shapes += _SHAPES.findall(line)
    return _in_words(missing, extra, [(key, f"({got})", f"({want})") for key, got, want in shapes])


def disagreements(expected: State, state: State) -> str:
    """Return in a few words how two sets of named shapes differ; empty where they agree."""
    missing = [key for key in expected if key not in state and not key.endswith(_COUNTER)]
    extra = [key for key in state if key not in expected]
    shapes = [key for key in expected if key in state and expected[key].shape != state[key].shape]
    return _in_words(
        missing,
        extra,
        [(key, str(tuple(state[key].shape)), str(tuple(expected[key].shape))) for key in shapes],
    )


def _in_words(missing: list[str], extra: list[str], shapes: list[tuple[str, str, str]]) -> str:
    parts = []
    if missing:
        parts.append(f"{len(missing)} tensors missing, e.g. '{missing[0]}'")
    if extra:
        parts.append(f"{len(extra)} unexpected, e.g. '{extra[0]}'")
    if shapes:
        key, got, want = shapes[0]
        parts.append(f"{len(shapes)} of another shape, e.g. '{key}' {got} instead of {want}")
    return ", ".join(parts)
