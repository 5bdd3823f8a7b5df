"""Pruning: old snapshots leave the offline store, each whole and at one stroke; the parts they share stay."""

import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress

from windlass.errors import FeatureError
from windlass.features.offline import OfflineStore
from windlass.features.snapshot import Snapshot


def prune(store: OfflineStore, keep: int, needed: Collection[int]) -> list[int]:
    """Remove the snapshots older than the `keep` newest whole ones; the numbers of those that went, newest first.

    Never the current one, nor one whose number is `needed`. Killed at any moment, a snapshot is there whole, or gone,
    and the next writer clears up. Raises FeatureError where there is no whole current snapshot, where another
    process writes, or the disk cannot be written.
    """
    if keep < 0:
        raise FeatureError(f"One cannot keep {keep} snapshots. Use 0 or more.")
    store.snapshot()
    with store.writing() as staging:
        current = store.snapshot().number
        oldest = min([current, *list(_whole(store))[:keep]])
        numbers = [int(place.name) for place in store.places()]
        gone = [number for number in numbers if number < oldest and number not in needed]
        for number in gone:
            shutil.rmtree(store.take_away(number, staging))
    return gone


def _whole(store: OfflineStore) -> Iterator[int]:
    """The numbers of the snapshots that can be read, newest first."""
    for place in store.places():
        with suppress(FeatureError):
            yield Snapshot.read(place).number
