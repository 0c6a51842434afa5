"""Weights of timm's networks without their classifier, loaded strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .efficientnet_lite import with_timm_names
from .strict_loading import disagreements, other_weights, torch_disagreements
from .weights import Module, State, Tensor

__all__ = ["load_headless"]

# what timm's translations of other projects' names raise for a file of another layout
_FAULTS = (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError, AssertionError)


def load_headless(architecture: str, state: State, *, name: str, path: Path) -> Module:
    """Return a timm network without its classifier, every other tensor of which comes from ``state``.

    Where timm drops the classifier itself, it loads what it finds and leaves the rest random: hence either the
    classifier's tensors are taken out of the file first and all others must agree, or, where timm translates their
    names, the whole network is loaded and the classifier taken off.

    Parameters
    ----------
    architecture
        timm's name, with its tag.
    state
        As read from the file.
    name, path
        Of the encoder, and of the file.

    Raises
    ------
    WeightsError
        When a tensor is missing, superfluous or of another shape.
    """
    import timm
    import torch

    with torch.device("meta"):
        expected = timm.create_model(architecture, pretrained=False).state_dict()
    state = dict(with_timm_names(state, expected))
    heads = timm.get_pretrained_cfg(architecture).classifier or ()
    layers = (heads,) if isinstance(heads, str) else tuple(heads)
    classifier = {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    bare = {key: value for key, value in state.items() if key not in classifier}
    attempts: tuple[tuple[dict[str, Tensor], dict[str, Any], dict[str, Any]], ...]
    attempts = ((bare, {"num_classes": 0, "classifier": None}, {"num_classes": 0}), (state, {}, {}))
    faults = []
    for tensors, overlay, options in attempts:
        # timm would ask the hub in place of an empty state
        if not tensors:
            continue
        try:
            network = timm.create_model(
                architecture,
                pretrained=True,
                pretrained_cfg_overlay={"state_dict": tensors, **overlay},
                **options,
            )
        except _FAULTS as error:
            faults.append(error)
            continue
        network.reset_classifier(0)
        # timm keeps what it loaded, a second time
        network.pretrained_cfg.pop("state_dict", None)
        return network
    body = {key: value for key, value in expected.items() if key not in classifier}
    words = torch_disagreements(faults[0]) or disagreements(body, bare) or type(faults[0]).__name__
    raise other_weights(name, path, words) from faults[0]
