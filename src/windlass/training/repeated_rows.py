"""Finds rows of equal content, and how many of them would be equal by chance.

A table of a few coarse columns has many equal rows that nobody copied: they say nothing of a leak.
"""

from collections.abc import Iterator
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from windlass.core.batch import Batch

_COARSE_SHARE = (
    0.1  # of different rows that would be equal by chance: from here on, equal rows are no copies
)
_FEW_CONTENTS = 50  # of a table whose every row is there ten times or more: too few to split by
_SEED = 1948
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # Knuth's multiplicative hash

Hashes = NDArray[np.uint64]


def content_groups(batch: Batch) -> NDArray[np.int64]:
    """Return the number of each row's content [n], from 0 in the order of first rows; equal rows have one number."""
    hashes = np.zeros(len(batch), np.uint64)
    for column in _column_hashes(batch):
        hashes = _mix(hashes, column)
    return _factorize(hashes)


def first_rows(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the index of the first row of each group, in order; `groups` [n] are `content_groups`."""
    newest = np.maximum.accumulate(groups)
    return np.flatnonzero(np.concatenate([[True], newest[1:] > newest[:-1]]))


def repeated_share(groups: NDArray[np.int64]) -> float:
    """Return the share of the rows that equal another row, 0 to 1."""
    counts = np.bincount(groups)
    return float(counts[counts > 1].sum() / len(groups))


def chance_share(batch: Batch) -> float:
    """Return the share of n different rows that equal another one once every column is shuffled by itself, 0 to 1.

    Shuffling leaves each column as it is and breaks what rows have in common: what is equal then is so by
    chance. The seed is fixed.
    """
    random = np.random.default_rng(_SEED)
    hashes = np.zeros(len(batch), np.uint64)
    for column in _column_hashes(batch):
        hashes = _mix(hashes, column[random.permutation(len(column))])
    return repeated_share(_factorize(hashes))


def are_coarse(batch: Batch, groups: NDArray[np.int64]) -> bool:
    """Whether rows are equal because the columns are coarse, and not because somebody copied them.

    `groups` [n] are the rows' `content_groups`.
    """
    first = first_rows(groups)
    if len(first) == len(groups):
        return False
    if len(first) < _FEW_CONTENTS and len(first) < len(groups) / 10:
        return True
    return chance_share(batch.take(first)) >= _COARSE_SHARE


def _factorize(hashes: Hashes) -> NDArray[np.int64]:
    from pandas import factorize

    codes: NDArray[np.int64] = factorize(hashes)[0]  # in the order of first rows
    return codes


def _column_hashes(batch: Batch) -> Iterator[Hashes]:
    """Yield a hash of each cell [n], column by column; all missing cells of a column are equal."""
    from pandas.util import hash_array

    for numbers in batch.numeric.T:
        yield hash_array(np.where(np.isnan(numbers), np.nan, numbers + 0.0))
    for texts in batch.text.T:
        yield hash_array(np.ascontiguousarray(texts))
    for tensor in batch.tensors.values():
        content = (np.ascontiguousarray(row).tobytes() for row in tensor)
        digests = b"".join(blake2b(row, digest_size=8).digest() for row in content)
        yield np.frombuffer(digests, np.uint64)


def _mix(hashes: Hashes, column: Hashes) -> Hashes:
    return (hashes ^ column) * _FACTOR + (hashes >> np.uint64(29))
