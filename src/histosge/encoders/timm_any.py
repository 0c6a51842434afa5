"""Any network of the timm library by its name there: ``timm:NAME`` or ``timm:NAME.TAG``, whole or up to a stage."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from histosge._runtime.device import require_deep
from histosge.errors import UsageError, WeightsError

from .base import EncoderCard, EncoderEntry, PatchSize, Setup
from .efficientnet_lite import packaged_weights
from .feature_maps import MapShape, feature_maps, map_shape, stage_maps
from .network import Interpolation, NetworkEncoder, network_output
from .timm_weights import load_headless
from .weights import Module, Tensor, content_hash, find_weights, is_cached, read_state

__all__ = ["PREFIX", "TimmNetwork", "entry"]

PREFIX = "timm:"

# these networks have no scale of tissue; networks for histology are most often trained at 20×
_MPP = 0.5
# between the name of a network and the stage that is read
_AT = "@"


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
    stage
        The stage that is read, counted from 0 as timm does; ``None`` reads the network's last, pooled features.
    """

    card: EncoderCard
    architecture: str
    interpolation: Interpolation
    stage: int | None = None

    @property
    def maps(self) -> Callable[[Module, Tensor], Tensor]:
        """From network and pixels to the maps of the dense form."""
        return feature_maps if self.stage is None else partial(stage_maps, stage=self.stage)

    def map_shape(self) -> MapShape:
        """Return how the network is applied to larger images; loads nothing.

        Raises
        ------
        UsageError
            Where it has no dense form.
        """
        import timm
        import torch

        with torch.device("meta"):
            network = timm.create_model(self.architecture, pretrained=False, num_classes=0)
        return map_shape(network, self.maps, self.card.patches[0].px, name=self.card.name)

    def __call__(self, setup: Setup) -> NetworkEncoder:
        """Find, read and strictly load the weights, without the classifier, and return the encoder.

        timm itself translates the published names of tensors, so that files in other projects' layouts load too;
        those of the EfficientNet-Lite packages are translated here, and an installed package is preferred to the hub.

        Raises
        ------
        WeightsError
            When the weights are missing, damaged or another network's.
        """
        card = self.card
        config = _config(self.architecture)
        local = setup.weights or packaged_weights(self.architecture)
        if local is None and config.hf_hub_id is None:
            where = f"fetch {config.url} and give it" if config.url else "give your own"
            raise WeightsError(
                f"timm has no weights of '{self.architecture}' on the hub: {where} as `weights`."
            )
        named = (config.hf_hub_filename,) if config.hf_hub_filename else ()
        path = find_weights(card, (*named, "model.safetensors", "pytorch_model.bin"), local)
        network = load_headless(self.architecture, read_state(path, card.name), name=card.name, path=path)
        return NetworkEncoder(
            card=card,
            network=network.eval().requires_grad_(False).float().to(setup.device),
            px=card.patches[0].px,
            weights_hash=content_hash(path),
            device=setup.device,
            precision=setup.precision,
            readout=_readout(self.stage),
            interpolation=self.interpolation,
        )


def entry(name: str) -> EncoderEntry:
    """Return the registry entry of ``timm:NAME`` or ``timm:NAME@STAGE``; downloads nothing.

    Raises
    ------
    UsageError
        When timm has no such network, it does not take RGB images, or it has no such stage.
    """
    architecture, at, stage_text = name.removeprefix(PREFIX).partition(_AT)
    config = _config(architecture)
    channels, height, width = config.input_size
    if channels != 3 or height != width or config.mean is None or len(config.mean) != 3:
        raise UsageError(
            f"Expected a network of square RGB images, but '{architecture}' takes {config.input_size}."
        )
    stage = _stage(architecture, stage_text) if at else None
    tagged = f"{config.architecture}.{config.tag}" if config.tag else str(config.architecture)
    card = EncoderCard(
        name=name,
        dim=_dim(architecture, height, stage),
        patches=(PatchSize(height * _MPP, height),),
        mean=tuple(config.mean),
        std=tuple(config.std),
        licence=config.license or "not stated by timm",
        source=config.hf_hub_id or config.url or f"timm/{tagged}",
        citation="wightman2019timm",
        summary=f"timm's {tagged}, {'pooled' if stage is None else f'stage {stage}, averaged'}; "
        "see its page for what it was trained on.",
    )
    interpolation: Interpolation = "bilinear" if config.interpolation == "bilinear" else "bicubic"
    network = TimmNetwork(card, architecture, interpolation, stage)
    return EncoderEntry(card, network, lambda: packaged_weights(architecture) is not None or is_cached(card))


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


def _stage(architecture: str, text: str) -> int:
    """Return the number of a stage that the network has.

    Raises
    ------
    UsageError
        For anything else.
    """
    import timm
    import torch

    with torch.device("meta"):
        network = timm.create_model(architecture, pretrained=False, num_classes=0)
    stages = len(getattr(network, "feature_info", ()) or ())
    if not stages or not hasattr(network, "forward_intermediates"):
        raise UsageError(
            f"timm tells no stages of '{architecture}': leave '{_AT}{text}' out, or take another network."
        )
    # isdecimal also holds for digits of other scripts, which int() reads
    if not (text.isdecimal() and int(text) < stages):
        raise UsageError(f"'{architecture}' has the stages 0 to {stages - 1}, got '{text}'.")
    return int(text)


def _readout(stage: int | None) -> Callable[[Module, Tensor], Tensor]:
    """Return what reads vectors from the network."""
    return network_output if stage is None else partial(_stage_mean, stage=stage)


def _stage_mean(network: Module, pixels: Tensor, *, stage: int) -> Tensor:
    """Return the maps of a stage, averaged over the patch."""
    return stage_maps(network, pixels, stage=stage).float().mean(dim=(2, 3))


def _dim(architecture: str, px: int, stage: int | None) -> int:
    """Return how many numbers the network gives a patch, without computing any."""
    import timm
    import torch

    with torch.device("meta"):
        network = timm.create_model(architecture, pretrained=False, num_classes=0).eval()
        vectors = _readout(stage)(network, torch.empty(1, 3, px, px))
    if vectors.ndim != 2:
        raise UsageError(
            f"Expected a network that pools to a vector, but '{architecture}' gives {vectors.ndim} axes."
        )
    return int(vectors.shape[1])
