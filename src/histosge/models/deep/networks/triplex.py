"""The network of TRIPLEX (Chung et al. 2024): the spot, its surroundings and the whole section, fused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from histosge._runtime.types import Array
from histosge.models.deep.inputs import Batch

from .row_parts import in_row_parts

__all__ = [
    "Beside",
    "Branches",
    "SectionTokens",
    "TRIPLEXNetwork",
    "TRIPLEXShape",
    "fused_loss",
    "lattice_neighbours",
]

# steps of a 3 × 3 convolution
_STEPS = [(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)]
_MIDDLE = len(_STEPS) // 2
# a location further than this from a step, in steps of the lattice, is not the neighbour there
_TOLERANCE = 0.3
# locations whose surroundings are in memory at once: 256 × 25 tokens × 256 floats are 7 MB
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class TRIPLEXShape:
    """What the number of parameters depends on; three numbers are those of fusion, section and surroundings."""

    inputs: int
    genes: int
    width: int
    depths: tuple[int, int, int]
    heads: tuple[int, int, int]
    ratios: tuple[float, float, float]
    dropouts: tuple[float, float, float]
    target_side: int
    neighbour_side: int


class Branches(NamedTuple):
    """Genes as each part of the network predicts them, b × genes."""

    fusion: Tensor
    target: Tensor
    neighbour: Tensor
    section: Tensor


class SectionTokens(NamedTuple):
    """Tokens of the spots that a location attends to, m × width each.

    Parameters
    ----------
    before
        Before each block of the section's branch.
    convolved
        After the first block: what the convolution over the lattice reads.
    after
        After the last block.
    """

    before: tuple[Tensor, ...]
    convolved: Tensor
    after: Tensor


class Beside(NamedTuple):
    """What locations have around them in the section, wherever else is predicted.

    Parameters
    ----------
    tokens
        Of the spots attended to.
    neighbours
        Rows of the spots at the nine steps of the lattice, b × 9; m where there is none.
    same
        Row of the spot at the very location, to which the location does not attend; m where there is none.
    """

    tokens: SectionTokens
    neighbours: Tensor
    same: Tensor


class TRIPLEXNetwork(nn.Module):
    """Three branches, and cross-attention from the section's token to those of the other two.

    Tokens of the surroundings and of the section are image features as they come; where these are not as wide as the
    network, one linear layer projects them. Differs from the original, which needs encoders of its own width.
    """

    def __init__(self, shape: TRIPLEXShape) -> None:
        super().__init__()
        self.shape = shape
        width, (fusion, section, neighbour) = shape.width, _parts(shape)
        self.project_target = nn.Linear(shape.inputs, width)
        equal = shape.inputs == width
        self.project: nn.Module = nn.Identity() if equal else nn.Linear(shape.inputs, width)
        side = shape.neighbour_side
        self.neighbour = nn.ModuleList(
            _Block(*neighbour, bias=side * (side + 1) // 2) for _ in range(shape.depths[2])
        )
        self.neighbour_norm = nn.LayerNorm(width)
        self.section = nn.ModuleList(_Block(*section) for _ in range(shape.depths[1]))
        # a depthwise 3 × 3 convolution over the lattice
        self.steps = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.section_norm = nn.LayerNorm(width)
        self.fusion = nn.ModuleList(_CrossBlock(*fusion) for _ in range(shape.depths[0]))
        self.fusion_norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({name: nn.Linear(width, shape.genes) for name in Branches._fields})
        self.register_buffer("distances", _distances(side), persistent=False)

    def forward(self, batch: Batch, beside: Beside | None = None) -> Branches:
        """Return the genes of each branch; locations attend to spots, or, as in training, all to each other."""
        shape = self.shape
        number = shape.target_side**2, shape.neighbour_side**2
        windows = batch.vectors.reshape(len(batch), sum(number), -1)
        target, around = torch.split(windows, list(number), dim=1)
        target, around = self._tokens_of(self.project_target, target), self._tokens_of(self.project, around)
        # the middle of the surroundings is the location itself
        own = around[:, number[1] // 2]
        section = self.section_norm(
            self._attending(own, batch.lattice_xy).after if beside is None else self._beside(own, beside)
        )
        around = in_row_parts(self._surrounded, around, _AT_ONCE, training=self.training)
        fused = self.fusion_norm(self._fused(section, target) + self._fused(section, around))
        tokens = (fused, target.mean(dim=1), around.mean(dim=1), section)
        return Branches(*(head(token) for head, token in zip(self.heads.values(), tokens, strict=True)))

    def _tokens_of(self, layer: nn.Module, windows: Tensor) -> Tensor:
        """Return tokens of windows; of many locations the layer is computed again for the gradient.

        It copies some of the windows of each location, which are not side by side, and would keep the copy.
        """
        if self.training and len(windows) > 2 * _AT_ONCE and isinstance(layer, nn.Linear):
            return cast("Tensor", checkpoint(layer, windows, use_reentrant=False))
        return cast("Tensor", layer(windows))

    def _surrounded(self, tokens: Tensor) -> Tensor:
        """Return tokens of the windows around locations, which attend to each other."""
        for block in self.neighbour:
            tokens = block(tokens, self.get_buffer("distances"))
        output: Tensor = self.neighbour_norm(tokens)
        return output

    def section_tokens(self, features: Tensor, lattice_xy: Tensor) -> SectionTokens:
        """Return the tokens of spots, m × width, that attend to each other; from the features of their windows."""
        return self._attending(self.project(features), lattice_xy)

    def _attending(self, tokens: Tensor, lattice_xy: Tensor) -> SectionTokens:
        """Return tokens that attend to each other, with the convolution over the lattice after the first block."""
        before, convolved = [], tokens
        for index, block in enumerate(self.section):
            before.append(tokens)
            tokens = block(tokens.unsqueeze(0)).squeeze(0)
            if index == 0:
                rows = lattice_neighbours(lattice_xy.cpu().numpy())
                convolved = tokens
                tokens = tokens + self._convolved(tokens, tokens, torch.as_tensor(rows, device=tokens.device))
        return SectionTokens(tuple(before), convolved, tokens)

    def _beside(self, tokens: Tensor, beside: Beside) -> Tensor:
        """Return tokens of locations, each of which attends to the spots and to itself."""
        known = beside.tokens
        for index, (block, spots) in enumerate(zip(self.section, known.before, strict=True)):
            tokens = cast(_Block, block).beside(tokens, spots, beside.same)
            if index == 0:
                tokens = tokens + self._convolved(tokens, known.convolved, beside.neighbours)
        return tokens

    def _convolved(self, tokens: Tensor, around: Tensor, rows: Tensor) -> Tensor:
        """Return the convolution over the lattice of tokens among others; a step without one counts as zeros."""
        padded = torch.cat([around, around.new_zeros(1, around.shape[1])])
        weights = self.steps.weight.flatten(1)
        summed = (
            self.steps.bias.expand_as(tokens) if self.steps.bias is not None else torch.zeros_like(tokens)
        )
        for step in range(len(_STEPS)):
            values = tokens if step == _MIDDLE else padded[rows[:, step]]
            summed = summed + values * weights[:, step]
        return summed

    def _fused(self, section: Tensor, tokens: Tensor) -> Tensor:
        """Return what the section's token finds among tokens; the same weights for both sets of tokens."""
        query = section.unsqueeze(1)
        for block in self.fusion:
            query = block(query, tokens)
        return query.squeeze(1)


class _Block(nn.Module):
    """A pre-norm transformer block; a bias for each head and distance between tokens where asked for."""

    def __init__(self, width: int, heads: int, ratio: float, dropout: float, bias: int = 0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Sequential(nn.Linear(width, width), nn.Dropout(dropout))
        self.feed = _feed(width, ratio, dropout)
        self.bias = nn.Parameter(torch.zeros(heads, bias)) if bias else None

    def forward(self, tokens: Tensor, distances: Tensor | None = None) -> Tensor:
        """Return b × n × width from b × n × width."""
        projected = self.project(self.norm(tokens)).unflatten(-1, (3, self.heads, -1))
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        mask = None if self.bias is None or distances is None else self.bias[:, distances].to(query.dtype)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        tokens = tokens + self.out(mixed.transpose(1, 2).flatten(2))
        output: Tensor = tokens + self.feed(tokens)
        return output

    def beside(self, tokens: Tensor, spots: Tensor, same: Tensor) -> Tensor:
        """Return b × width from b × width: each token attends to m spots and itself, not to ``same`` of them."""
        # heads × b or m × head width
        query, key, value = self._projected(tokens)
        _, spot_key, spot_value = self._projected(spots)
        scale = query.shape[-1] ** -0.5
        logits = query @ spot_key.transpose(1, 2) * scale
        hidden = torch.arange(len(spots), device=same.device) == same[:, None]
        logits = logits.masked_fill(hidden, -torch.inf)
        itself = (query * key).sum(-1, keepdim=True) * scale
        weights = torch.cat([logits, itself], dim=-1).softmax(dim=-1)
        mixed = weights[..., :-1] @ spot_value + weights[..., -1:] * value
        tokens = tokens + self.out(mixed.transpose(0, 1).flatten(1))
        output: Tensor = tokens + self.feed(tokens)
        return output

    def _projected(self, tokens: Tensor) -> Tensor:
        """Return queries, keys and values of n tokens, 3 × heads × n × head width."""
        projected: Tensor = self.project(self.norm(tokens)).unflatten(-1, (3, self.heads, -1))
        return projected.permute(1, 2, 0, 3)


class _CrossBlock(nn.Module):
    """A pre-norm block whose queries and keys are different tokens."""

    def __init__(self, width: int, heads: int, ratio: float, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.pair = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Sequential(nn.Linear(width, width), nn.Dropout(dropout))
        self.feed = _feed(width, ratio, dropout)

    def forward(self, tokens: Tensor, others: Tensor) -> Tensor:
        """Return b × q × width: tokens that attended to the others."""
        query = self.query(self.norm(tokens)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key, value = self.pair(others).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.out(mixed.transpose(1, 2).flatten(2))
        output: Tensor = tokens + self.feed(tokens)
        return output


def fused_loss(branches: Branches, targets: Tensor, share: float) -> Tensor:
    """Return the error of the fusion, and of each branch its error and, by ``share``, its distance from the fusion.

    MSE(ŷ, y) + Σ_b [(1 − α) MSE(ŷ_b, y) + α MSE(ŷ, ŷ_b)], α = 0.3 in the original; gradients flow through both.
    """
    error = nn.functional.mse_loss
    fusion, *others = branches
    loss = error(fusion, targets)
    for branch in others:
        loss = loss + (1 - share) * error(branch, targets) + share * error(fusion, branch)
    return loss


def lattice_neighbours(lattice_xy: Array, around_xy: Array | None = None) -> Array:
    """Return the rows of the spots at the nine steps of a 3 × 3 window around each location, n × 9.

    Steps are those of the array, as published: on Visium, whose neighbours in a row are two columns apart, they are the
    location itself and four of its six neighbours.

    Parameters
    ----------
    lattice_xy
        Column and row of the locations: whole numbers.
    around_xy
        Those of m spots; ``None``: the locations themselves. Rows are m where there is no spot.

    Examples
    --------
    >>> lattice_neighbours(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]))[0].tolist()
    [3, 3, 3, 3, 0, 1, 3, 3, 2]
    """
    tree = cKDTree(lattice_xy if around_xy is None else around_xy)
    rows = np.stack(
        [tree.query(lattice_xy + step, distance_upper_bound=_TOLERANCE)[1] for step in _STEPS], axis=1
    )
    if around_xy is None:
        # of several locations at the same position each is its own middle
        rows[:, _MIDDLE] = np.arange(len(lattice_xy))
    return rows


def _feed(width: int, ratio: float, dropout: float) -> nn.Sequential:
    hidden = round(ratio * width)
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, hidden),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, width),
        nn.Dropout(dropout),
    )


def _parts(shape: TRIPLEXShape) -> list[tuple[int, int, float, float]]:
    """Return width, heads, ratio and dropout of fusion, section and surroundings."""
    return [
        (shape.width, heads, ratio, dropout)
        for heads, ratio, dropout in zip(shape.heads, shape.ratios, shape.dropouts, strict=True)
    ]


def _distances(side: int) -> Tensor:
    """Return for each pair of windows of the surroundings a number of its two distances, larger and smaller."""
    rows, columns = np.divmod(np.arange(side**2), side)
    pair = np.sort(np.abs(np.stack([rows[:, None] - rows, columns[:, None] - columns])), axis=0)
    # 0, 0 → 0; 0, 1 → 1; 1, 1 → 2; 0, 2 → 3 …: 15 pairs of a side of 5
    return torch.as_tensor(pair[1] * (pair[1] + 1) // 2 + pair[0])
