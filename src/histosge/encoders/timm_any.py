"""Any network of the timm library by its name there: ``timm:NAME`` or ``timm:NAME.TAG``."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from histosge._runtime.device import require_deep
from histosge.errors import UsageError, WeightsError

from .base import EncoderCard, EncoderEntry, PatchSize, Setup
from .network import Interpolation, NetworkEncoder
from .weights import content_hash, find_weights, read_state

__all__ = ["PREFIX", "TimmNetwork", "entry"]

PREFIX = "timm:"

# these networks have no scale of tissue; networks for histology are most often trained at 20×
_MPP = 0.5


@dataclass(frozen=True, slots=True)
class TimmNetwork:
    """How to make one of timm's networks; calling it makes it.

    Parameters
    ----------
    card
        Derived from timm's metadata of the weights.
    architecture
        timm's name, with its tag.
    interpolation
        How timm resizes for these weights.
    """

    card: EncoderCard
    architecture: str
    interpolation: Interpolation

    def __call__(self, setup: Setup) -> NetworkEncoder:
        """Find, read and strictly load the weights, without the classifier, and return the encoder.

        timm itself translates the published names of tensors, so that files in other projects' layouts load too.

        Raises
        ------
        WeightsError
            When the weights are missing, damaged or another network's.
        """
        import timm

        card = self.card
        config = _config(self.architecture)
        if setup.weights is None and config.hf_hub_id is None:
            where = f"fetch {config.url} and give it" if config.url else "give your own"
            raise WeightsError(
                f"timm has no weights of '{self.architecture}' on the hub: {where} as `weights`."
            )
        named = (config.hf_hub_filename,) if config.hf_hub_filename else ()
        path = find_weights(card, (*named, "model.safetensors", "pytorch_model.bin"), setup.weights)
        # for its sentences; timm reads the file again
        read_state(path, card.name)
        try:
            network = timm.create_model(
                self.architecture, pretrained=True, num_classes=0, pretrained_cfg_overlay={"file": str(path)}
            )
        except (RuntimeError, KeyError, ValueError) as error:
            raise WeightsError(
                f"The weights in '{path}' are not those of '{card.name}' "
                f"({str(error).splitlines()[0][:120]}); give the file published for '{card.name}'."
            ) from error
        return NetworkEncoder(
            card=card,
            network=network.eval().requires_grad_(False).float().to(setup.device),
            px=card.patches[0].px,
            weights_hash=content_hash(path),
            device=setup.device,
            precision=setup.precision,
            interpolation=self.interpolation,
        )


def entry(name: str) -> EncoderEntry:
    """Return the registry entry of ``timm:NAME``; downloads nothing.

    Raises
    ------
    UsageError
        When timm has no such network, or it does not take RGB images.
    """
    architecture = name.removeprefix(PREFIX)
    config = _config(architecture)
    channels, height, width = config.input_size
    if channels != 3 or height != width or config.mean is None or len(config.mean) != 3:
        raise UsageError(
            f"Expected a network of square RGB images, but '{architecture}' takes {config.input_size}."
        )
    tagged = f"{config.architecture}.{config.tag}" if config.tag else str(config.architecture)
    card = EncoderCard(
        name=name,
        dim=_dim(architecture, height),
        patches=(PatchSize(height * _MPP, height),),
        mean=tuple(config.mean),
        std=tuple(config.std),
        licence=config.license or "not stated by timm",
        gated=False,
        source=config.hf_hub_id or config.url or f"timm/{tagged}",
        revision=None,
        citation="wightman2019timm",
        summary=f"timm's {tagged}, pooled; see its page for what it was trained on.",
    )
    return EncoderEntry(
        card, TimmNetwork(card, architecture, "bilinear" if config.interpolation == "bilinear" else "bicubic")
    )


def _config(architecture: str) -> Any:
    """Return timm's metadata of an architecture's default or tagged weights."""
    require_deep(f"The encoder '{PREFIX}{architecture}'")
    import timm

    known = timm.list_models()
    base, _, tag = architecture.partition(".")
    if base not in known:
        near = difflib.get_close_matches(base, known, n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else "See timm.list_models()."
        raise UsageError(f"timm has no network named '{base}'. {hint}")
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{base}.*")]
    if tag and tag not in tags:
        raise UsageError(f"timm has no weights '{tag}' of '{base}'. Known: {', '.join(tags) or 'none'}.")
    return timm.get_pretrained_cfg(architecture)


def _dim(architecture: str, px: int) -> int:
    """Return how many numbers the network gives a patch, without computing any."""
    import timm
    import torch

    with torch.device("meta"):
        network = timm.create_model(architecture, pretrained=False, num_classes=0).eval()
        vectors = network(torch.empty(1, 3, px, px))
    if vectors.ndim != 2:
        raise UsageError(
            f"Expected a network that pools to a vector, but '{architecture}' gives {vectors.ndim} axes."
        )
    return int(vectors.shape[1])
