"""Random draws that belong to a name, not to a row: a table in another order gives the same ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from .types import Array, Int

__all__ = ["fair_coins", "hashed", "random_order"]

_U64 = np.uint64
_WORD = 64


def hashed(names: Iterable[object], seed: int, purpose: str = "") -> Array:
    """Return a number of 64 random bits for each name, the same in every process and on every machine."""
    key = f"{seed}/{purpose}".encode()
    digests = (
        hashlib.blake2b(str(name).encode(errors="surrogatepass"), digest_size=8, key=key[:64]).digest()
        for name in names
    )
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(_U64)


def random_order(names: Iterable[object], seed: int, purpose: str = "") -> Int[np.ndarray, " n"]:
    """Return a random permutation of rows that depends on their names alone.

    Examples
    --------
    >>> names = np.array(["a", "b", "c", "d"])
    >>> back = names[::-1]
    >>> bool((names[random_order(names, 0)] == back[random_order(back, 0)]).all())
    True
    """
    return np.argsort(hashed(names, seed, purpose), kind="stable")


def fair_coins(counts: Int[np.ndarray, "n g"], rows: Array, columns: Array) -> Int[np.ndarray, "n g"]:
    """Return the number of heads among ``counts`` fair coins of each cell: a binomial draw with probability ½.

    The coins of a cell are bits of a hash of its row and column (SplitMix64, steele2014), so that they depend neither
    on other cells nor on the order of the table.

    Parameters
    ----------
    counts
        Number of coins, 0 or more.
    rows, columns
        The hashes of their names, see :func:`hashed`.

    Examples
    --------
    >>> int(fair_coins(np.full((1, 1), 10_000), hashed(["spot"], 0), hashed(["gene"], 0))[0, 0])
    5023
    """
    heads = np.zeros(counts.shape, dtype=np.int64)
    row, column = np.nonzero(counts)
    left = counts[row, column].astype(np.int64)
    state = _mixed(rows[row] ^ _mixed(columns[column]))
    total = np.zeros(len(left), dtype=np.int64)
    active = np.arange(len(left))
    word = 0
    # most counts are smaller than the 64 coins of a word
    while len(active):
        word += 1
        bits = _mixed(state[active] + _U64(word * 0x9E3779B97F4A7C15 % 2**_WORD))
        unused = np.maximum(_WORD - left[active], 0).astype(_U64)
        total[active] += _ones(bits >> unused)
        left[active] -= _WORD
        active = active[left[active] > 0]
    heads[row, column] = total
    return heads


def _mixed(values: Array) -> Array:
    """Return the finaliser of SplitMix64: every bit of the result depends on every bit of the value."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> _U64(30))) * _U64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> _U64(27))) * _U64(0x94D049BB133111EB)
        return np.asarray(values ^ (values >> _U64(31)))


def _ones(values: Array) -> Array:
    """Return how many bits are set, by sums of neighbouring groups of bits."""
    with np.errstate(over="ignore"):
        values = values - ((values >> _U64(1)) & _U64(0x5555555555555555))
        values = (values & _U64(0x3333333333333333)) + ((values >> _U64(2)) & _U64(0x3333333333333333))
        values = (values + (values >> _U64(4))) & _U64(0x0F0F0F0F0F0F0F0F)
        return np.asarray((values * _U64(0x0101010101010101)) >> _U64(56)).astype(np.int64)
