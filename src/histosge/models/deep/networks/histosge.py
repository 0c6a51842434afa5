"""The network of HisToSGE (Shi et al. 2024), with exchangeable parts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from histosge.models.deep.inputs import Attended, Batch

__all__ = ["Attention", "Context", "HisToSGENetwork", "HisToSGEShape", "Interpolated", "Tables"]


@dataclass(frozen=True, slots=True)
class HisToSGEShape:
    """What the number of parameters depends on.

    Parameters
    ----------
    inputs, outputs
        Columns of the inputs and of the outputs.
    width
        Of a token; ``None`` takes the inputs unprojected, as published.
    heads, head_width
        Of attention; independent of the width, since the paper's 1029 is not divisible by 4.
    shared_qkv
        Whether query, key and value are one projection: the paper's V = Q = K.
    learner
        ``"block"``: normalise, attend, add, normalise, feed forward, add. ``"attention"``: attend.
    hidden
        Width of the gene head.
    relu
        Whether values are cut at 0 inside the network.
    position
        ``"tables"``, ``"interpolated"``, ``"fourier"`` or ``"none"``.
    table_size
        Rows of the tables.
    distance_bias
        Whether attention decreases with distance, at a rate that is trained.
    dropout
        Share of the units of tokens and head that training drops.
    """

    inputs: int
    outputs: int
    width: int | None = None
    heads: int = 4
    head_width: int = 64
    shared_qkv: bool = False
    learner: Literal["block", "attention"] = "block"
    hidden: int = 2048
    relu: bool = True
    position: Literal["tables", "interpolated", "fourier", "none"] = "tables"
    table_size: int = 512
    distance_bias: bool = False
    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class Context:
    """What each of b locations attends to, beside itself.

    Parameters
    ----------
    tokens
        n × width: all tokens that can be attended to.
    chosen
        Rows of ``tokens`` that each location attends to, b × m; ``None``: every location attends to all (m = n).
    hidden
        True where a location must not attend, b × m; ``None`` hides nothing.
    distance
        Between them in pitches, b × m.
    """

    tokens: Tensor
    chosen: Tensor | None = None
    hidden: Tensor | None = None
    distance: Tensor | None = None


class HisToSGENetwork(nn.Module):
    """Tokens → attention → genes."""

    def __init__(self, shape: HisToSGEShape) -> None:
        super().__init__()
        # differs from the paper: a token may be narrower than the 1029 inputs, too many for half a section of spots
        width = shape.width or shape.inputs
        self.project = nn.Identity() if shape.width is None else nn.Linear(shape.inputs, width)
        self.position = _POSITIONS[shape.position](width, shape.table_size)
        attention = Attention(
            width, shape.heads, shape.head_width, shared=shape.shared_qkv, distance_bias=shape.distance_bias
        )
        learner = (
            Block(width, attention, shape.dropout) if shape.learner == "block" else AttentionOnly(attention)
        )
        self.learner: Block | AttentionOnly = learner
        self.head = nn.Sequential(
            nn.Linear(width, shape.hidden),
            nn.ReLU(),
            nn.LayerNorm(shape.hidden),
            nn.Dropout(shape.dropout),
            nn.Linear(shape.hidden, shape.outputs),
        )
        self.relu = shape.relu
        self.dropout = nn.Dropout(shape.dropout)

    def tokens(self, batch: Batch) -> Tensor:
        """Return b × width: projected features plus positional encoding."""
        projected: Tensor = self.dropout(self.project(batch.vectors)) + self.position(batch)
        return projected

    def forward(self, batch: Batch) -> Tensor:
        """Return b × outputs: each location attends to the training spots, or to the others of its window."""
        tokens = self.tokens(batch)
        context = self._window(batch, tokens) if batch.attended is None else self._attended(batch.attended)
        values: Tensor = self.head(self.learner(tokens, context))
        return torch.relu(values) if self.relu else values

    def _attended(self, attended: Attended) -> Context:
        tokens = self.tokens(attended.spots)
        return Context(tokens, attended.chosen, attended.hidden, attended.distance)

    @staticmethod
    def _window(batch: Batch, tokens: Tensor) -> Context:
        # attention adds the location itself, so the window must not repeat it
        itself = torch.eye(len(tokens), dtype=torch.bool, device=tokens.device)
        return Context(tokens, hidden=itself, distance=torch.cdist(batch.xy, batch.xy))


class Attention(nn.Module):
    """Multi-head attention of each location to itself and its context (Vaswani et al. 2017, eq. 1)."""

    def __init__(self, width: int, heads: int, head_width: int, *, shared: bool, distance_bias: bool) -> None:
        super().__init__()
        self.heads, self.head_width, self.shared = heads, head_width, shared
        inner = heads * head_width
        # the paper's V = Q = K is a single projection; the released code has three
        self.project = nn.Linear(width, inner * (1 if shared else 3), bias=False)
        self.out = nn.Linear(inner, width)
        # heads start at different rates: the first decreases within a pitch, the last hardly at all
        self.decrease = nn.Parameter(torch.linspace(0.0, -3.0, heads)) if distance_bias else None

    def split(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return query, key and value, … × heads × head width."""
        projected = self.project(tokens)
        parts = (projected,) * 3 if self.shared else projected.chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, self.head_width)) for part in parts)
        return query, key, value

    def forward(self, tokens: Tensor, context: Context) -> Tensor:
        """Return b × width."""
        query, own_key, own_value = self.split(tokens)
        # in a window keys and values are those of the tokens themselves
        in_window = context.tokens is tokens
        keys, values = (own_key, own_value) if in_window else self.split(context.tokens)[1:]
        # with chosen spots every location has keys and values of its own: one index more
        own = ""
        if context.chosen is not None:
            keys, values, own = keys[context.chosen], values[context.chosen], "b"
        scale = 1 / math.sqrt(self.head_width)
        # softmax(Q Kᵀ / √d) V, Vaswani et al. 2017, eq. 1
        scores = torch.einsum(f"bhw,{own}mhw->bhm", query, keys) * scale
        if self.decrease is not None and context.distance is not None:
            # differs from the paper: a penalty that grows linearly with distance; softplus keeps its rate positive
            scores = scores - nn.functional.softplus(self.decrease)[:, None] * context.distance[:, None]
        if context.hidden is not None:
            # a score of −∞ becomes a weight of 0
            scores = scores.masked_fill(context.hidden[:, None], -math.inf)
        # the location itself is one more key, so that a location without neighbours still has an output
        own_score = (query * own_key).sum(-1, keepdim=True) * scale
        weights = torch.softmax(torch.cat([own_score, scores], dim=-1), dim=-1)
        mixed = torch.einsum(f"bhm,{own}mhw->bhw", weights[..., 1:], values)
        mixed = mixed + weights[..., :1] * own_value
        output: Tensor = self.out(mixed.flatten(1))
        return output


class Block(nn.Module):
    """The published block: pre-norm attention and a GELU network, each with a residual connection."""

    def __init__(self, width: int, attention: Attention, dropout: float) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = attention
        self.norm_forward = nn.LayerNorm(width)
        self.forward_network = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width)
        )

    def forward(self, tokens: Tensor, context: Context) -> Tensor:
        """Return b × width."""
        # pre-norm: gradients pass the residual connection without a normalisation (Xiong et al. 2020)
        normed = self.norm_attention(tokens)
        attended = normed if context.tokens is tokens else self.norm_attention(context.tokens)
        tokens = tokens + self.attention(normed, replace(context, tokens=attended))
        output: Tensor = tokens + self.forward_network(self.norm_forward(tokens))
        return output


class AttentionOnly(nn.Module):
    """The paper's Eq. 6: attention without residual connection or feed-forward network."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, tokens: Tensor, context: Context) -> Tensor:
        """Return b × width."""
        output: Tensor = self.attention(tokens, context)
        return output


class Tables(nn.Module):
    """Two trained tables, one of columns and one of rows, indexed by the integer part of the lattice position."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.column, self.row = nn.Embedding(size, width), nn.Embedding(size, width)

    def forward(self, batch: Batch) -> Tensor:
        """Return b × width; positions beyond the tables take the nearest entry.

        Differs from the published code, which reads a negative column from the end of its table.
        """
        last = self.column.num_embeddings - 1
        # Visium columns advance by half steps of this index, which share an entry
        column, row = batch.lattice_xy.trunc().long().clamp(0, last).unbind(-1)
        encoding: Tensor = self.column(column) + self.row(row)
        return encoding


class Interpolated(Tables):
    """The same tables, with linear interpolation between entries."""

    def forward(self, batch: Batch) -> Tensor:
        """Return b × width."""
        column, row = batch.lattice_xy.unbind(-1)
        return self._interpolate(self.column, column) + self._interpolate(self.row, row)

    @staticmethod
    def _interpolate(table: nn.Embedding, position: Tensor) -> Tensor:
        position = position.clamp(0, table.num_embeddings - 1)
        low = position.floor().long().clamp(max=table.num_embeddings - 2)
        share = (position - low)[..., None]
        encoding: Tensor = (1 - share) * table(low) + share * table(low + 1)
        return encoding


class Fourier(nn.Module):
    """Sines and cosines of the position in pitches, at wavelengths from 4 to 256 pitches, and a linear map."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        # below 4 pitches a wave alternates between neighbouring spots, and the half fitted cannot determine it
        wavelengths = 2.0 ** torch.arange(2, 9)
        # four directions, since a wave along either axis alone prefers that axis
        angles = torch.tensor([0.0, math.pi / 4, math.pi / 2, 3 * math.pi / 4])
        directions = torch.stack([angles.cos(), angles.sin()])
        waves = (2 * math.pi / wavelengths)[:, None, None] * directions.T[None]
        # not a parameter: the waves are constants, only their linear map is trained
        self.register_buffer("waves", waves.reshape(-1, 2).T.contiguous(), persistent=False)
        self.project = nn.Linear(2 * len(wavelengths) * len(angles), width)

    def forward(self, batch: Batch) -> Tensor:
        """Return b × width."""
        phase = batch.xy @ self.get_buffer("waves")
        encoding: Tensor = self.project(torch.cat([phase.sin(), phase.cos()], dim=-1))
        return encoding


class NoPosition(nn.Module):
    """No positional encoding."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()

    def forward(self, batch: Batch) -> Tensor:
        """Return 0, which is added to the tokens."""
        return batch.xy.new_zeros(())


_POSITIONS = {"tables": Tables, "interpolated": Interpolated, "fourier": Fourier, "none": NoPosition}
