"""Rows that belong together: digests of their groups, which decide the side, and of the events they are of."""

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from windlass.core.holdout import DIGEST, Digests, row_digests
from windlass.core.project import Project
from windlass.core.split_rule import GroupTimeSplit

if TYPE_CHECKING:
    import pyarrow as pa

    from windlass.training.dataset import Dataset


def group_digests(groups: "pa.ChunkedArray") -> Digests:
    """16 bytes [n, 16] for each row: BLAKE2b of its group's text, and of nothing else."""
    coded = groups.combine_chunks().dictionary_encode()
    found = b"".join(
        _digest(text.encode(), b"windlass.group") for text in coded.dictionary.to_pylist()
    )
    digests: Digests = np.frombuffer(found, np.uint8).reshape(-1, DIGEST)
    chosen: NDArray[np.int64] = coded.indices.to_numpy()
    return digests[chosen]


def days(times: "pa.ChunkedArray") -> NDArray[np.int64]:
    """The dates [n] as days since 1970-01-01."""
    found: NDArray[np.int64] = times.to_numpy().astype("datetime64[D]").astype(np.int64)
    return found


def identities(project: Project, dataset: "Dataset", indices: NDArray[np.int64]) -> Digests:
    """16 bytes [m, 16] that tell the rows at these indices from others, whatever version asks.

    By what they hold; where rows have a group and a day, by these too: two clients may look the same.
    """
    rows = row_digests(project.schema, dataset.batch.rows(indices))
    rule = project.split
    return rows if rule is None else _of_events(rows, rule, dataset.aside.take(indices))


def _of_events(rows: Digests, rule: GroupTimeSplit, aside: "pa.Table") -> Digests:
    groups, on = group_digests(aside.column(rule.group)), days(aside.column(rule.time))
    parts = np.hstack([rows, groups, on.astype("<i8").view(np.uint8).reshape(-1, 8)])
    found = b"".join(_digest(part.tobytes(), b"windlass.event") for part in parts)
    return np.frombuffer(found, np.uint8).reshape(-1, DIGEST)


def _digest(content: bytes, person: bytes) -> bytes:
    return blake2b(content, digest_size=DIGEST, person=person).digest()
