"""Readers of tables that still live, for tests that nothing is left of one."""

import gc
from collections.abc import Iterator

import pytest

from windlass.tables.csv_reader import CsvReader
from windlass.tables.reader import TableReader


@pytest.fixture
def frozen_heap() -> Iterator[None]:
    """Sets aside what was made before the test: the collector and `live_readers` look at the rest, a small part."""
    gc.freeze()  # garbage too: to collect it first takes longer than a test
    yield
    gc.unfreeze()


def live_readers() -> int:
    """Returns the number of readers that live, since the heap was frozen."""
    gc.collect()
    return sum(isinstance(each, CsvReader | TableReader) for each in gc.get_objects())
