"""What other workers count, read from memory while they count."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from windlass.monitoring.shared_counters import PeerCounters, SharedCounters

KEY, LATER = ("rate", "ci"), ("rate", "later")


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[SharedCounters]]:
    workers = [SharedCounters(tmp_path) for _ in range(3)]
    yield workers
    for worker in workers:
        worker.close()


def test_all_but_ones_own(workers: list[SharedCounters]) -> None:
    series = [worker.series(KEY, 2) for worker in workers]
    peers = [PeerCounters(worker) for worker in workers]
    for one in peers:
        one.look()
    series[0][1], series[1][1], series[2][1] = 1.0, 10.0, 100.0
    seen = [sorted(cells[1] for cells in one.of(KEY)) for one in peers]
    assert seen == [[10.0, 100.0], [1.0, 100.0], [1.0, 10.0]]
    series[2][1] += 5.0
    assert sorted(cells[1] for cells in peers[0].of(KEY)) == [10.0, 105.0]


def test_series_and_workers_that_come_later(workers: list[SharedCounters], tmp_path: Path) -> None:
    peers = PeerCounters(workers[0])
    peers.look()
    assert peers.of(LATER) == ()
    workers[1].series(KEY, 3)
    workers[1].series(LATER, 1)[0] = 7.0
    newcomer = SharedCounters(tmp_path)
    newcomer.series(LATER, 1)[0] = 8.0
    peers.look()
    assert sorted(cells[0] for cells in peers.of(LATER)) == [7.0, 8.0]
    newcomer.close()


def test_a_worker_that_is_starting_is_left_for_the_next_look(
    workers: list[SharedCounters], tmp_path: Path
) -> None:
    peers = PeerCounters(workers[0])
    (tmp_path / "9.cells").write_bytes(b"")
    peers.look()
    assert peers.of(KEY) == ()
    workers[1].series(KEY, 1)[0] = 3.0
    peers.look()
    assert [cells[0] for cells in peers.of(KEY)] == [3.0]


def test_numbers_of_this_process_alone_have_no_peers() -> None:
    peers = PeerCounters(SharedCounters())
    peers.look()
    assert peers.of(KEY) == ()
