"""Shared counters: sums over processes, none lost, bounded size; and the counts of other workers."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.child_process import ChildProcess, ended_pid, python_command

from windlass.monitoring import shared_counters as module
from windlass.monitoring.shared_counters import PeerCounters, SharedCounters, counters_folder

CellsOf = Callable[[Path], SharedCounters]
KEY = ("requests", "iris", "v1")
WORKER = """
import sys
from pathlib import Path
from windlass.monitoring.shared_counters import SharedCounters

cells = SharedCounters(Path(sys.argv[1]))
series = cells.series(("requests", "iris", "v1"), 2)
for line in sys.stdin:
    series[0] += float(line)
    series[1] += 1
    print("counted", flush=True)
"""


class Worker(ChildProcess):
    """Another process, which counts the numbers that it reads from its input."""

    def __init__(self, folder: Path) -> None:
        super().__init__(python_command(WORKER, folder))

    def count(self, *values: float) -> None:
        for value in values:
            self.write_line(str(value))
            assert self.read_line() == "counted"


@pytest.fixture
def cells_of() -> Iterator[CellsOf]:
    """SharedCounters of this process, closed afterwards."""
    with ExitStack() as opened:

        def make(folder: Path) -> SharedCounters:
            cells = SharedCounters(folder)
            opened.callback(cells.close)
            return cells

        yield make


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_single_process_counts_for_itself() -> None:
    cells = SharedCounters()
    series = cells.series(KEY, 3)
    series[1] += 2.5
    assert cells.series(KEY, 3)[1] == 2.5
    assert cells.sums() == {KEY: [0.0, 2.5, 0.0]}


def test_two_processes_are_summed(tmp_path: Path, cells_of: CellsOf) -> None:
    with Worker(tmp_path) as first, Worker(tmp_path) as second:
        first.count(1, 2)
        second.count(10)
        mine = cells_of(tmp_path)
        mine.series(KEY, 2)[0] += 100
        mine.series(("other",), 1)[0] += 7
        assert mine.sums() == {KEY: [113.0, 3.0], ("other",): [7.0]}
        first.count(0.5)
        assert mine.sums()[KEY] == [113.5, 4.0]
        assert files(tmp_path) == ["0.cells", "1.cells", "2.cells"]


def test_a_successor_carries_on_where_a_worker_died(tmp_path: Path) -> None:
    for generation in range(1, 5):
        with Worker(tmp_path) as worker:
            worker.count(1)
        with Worker(tmp_path) as successor:
            successor.count(0)
        assert files(tmp_path) == ["0.cells"]
        observer = SharedCounters(tmp_path)
        assert observer.sums()[KEY] == [generation, generation * 2]
        observer.close()


def test_a_successor_reads_what_it_took_over(tmp_path: Path, cells_of: CellsOf) -> None:
    """Series come in another order in every life of a worker."""
    keys = [("a", str(number)) for number in range(20)]
    for life in (keys, keys[::-1], keys[5:] + keys[:5]):
        cells = cells_of(tmp_path)
        for number, key in enumerate(life):
            cells.series(key, 1 + int(key[1]) % 3)[0] += number
        cells.close()
    assert files(tmp_path) == ["0.cells"]
    wanted = {
        key: sum(life.index(key) for life in (keys, keys[::-1], keys[5:] + keys[:5]))
        for key in keys
    }
    assert {key: values[0] for key, values in cells_of(tmp_path).sums().items()} == wanted


def test_any_process_may_sum_while_others_write(tmp_path: Path, cells_of: CellsOf) -> None:
    mine = cells_of(tmp_path)
    last = 0.0
    with Worker(tmp_path) as worker:
        for _ in range(100):
            worker.count(1)
            now = mine.sums()[KEY][0]
            assert now == last + 1
            last = now


def test_a_full_file_loses_no_other_counts(tmp_path: Path, cells_of: CellsOf) -> None:
    mine = cells_of(tmp_path)
    first = mine.series(KEY, 2)
    first[0] += 1
    many = [mine.series(("s", str(number)), 100) for number in range(5000)]
    for series in many:
        series[99] += 1
    first[0] += 1
    sums = mine.sums()
    assert sums[KEY] == [2.0, 0.0]
    stored = [key for key in sums if key[0] == "s"]
    assert 100 < len(stored) < 5000
    assert all(sums[key][99] == 1 for key in stored)
    assert (tmp_path / "0.cells").stat().st_size == module.CAPACITY


def test_keys_may_be_any_text() -> None:
    cells = SharedCounters()
    keys = [("a", ""), ("ä\x00\n", '"'), ("東京", "\\"), ("x" * 1000,)]
    for number, key in enumerate(keys):
        cells.series(key, 1)[0] += number
    assert cells.sums() == {key: [float(number)] for number, key in enumerate(keys)}


def test_a_series_torn_by_a_death_is_left_out(tmp_path: Path, cells_of: CellsOf) -> None:
    """A worker that died while it wrote a series' name: the length comes last, and is zero yet."""
    mine = cells_of(tmp_path)
    mine.series(KEY, 2)[0] += 3
    content = bytearray((tmp_path / "0.cells").read_bytes())
    end = content.index(json.dumps(KEY).encode()) + len(json.dumps(KEY))
    offset = (end + 7) // 8 * 8 + 16
    content[offset + 8 : offset + 20] = b'["torn", "x"'
    (tmp_path / "1.cells").write_bytes(content)
    assert mine.sums() == {KEY: [6.0, 0.0]}
    with Worker(tmp_path) as successor:
        successor.count(1)
        assert mine.sums()[KEY][0] == 7.0


def test_a_server_removes_the_folders_of_dead_servers(tmp_path: Path) -> None:
    for name in (str(ended_pid()), str(os.getppid()), "notes"):
        (tmp_path / "run" / name).mkdir(parents=True)
    folder = counters_folder(tmp_path)
    assert folder.name == str(os.getpid())
    assert files(tmp_path / "run") == sorted([str(os.getpid()), str(os.getppid()), "notes"])


def test_a_home_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(OSError, match="run"):
        counters_folder(tmp_path)


RATE, LATER_RATE = ("rate", "ci"), ("rate", "later")


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[SharedCounters]]:
    workers = [SharedCounters(tmp_path) for _ in range(3)]
    yield workers
    for worker in workers:
        worker.close()


def test_peers_are_all_workers_but_this_one(workers: list[SharedCounters]) -> None:
    series = [worker.series(RATE, 2) for worker in workers]
    peers = [PeerCounters(worker) for worker in workers]
    for peer in peers:
        peer.refresh()
    series[0][1], series[1][1], series[2][1] = 1.0, 10.0, 100.0
    seen = [sorted(cells[1] for cells in peer.cells(RATE)) for peer in peers]
    assert seen == [[10.0, 100.0], [1.0, 100.0], [1.0, 10.0]]
    series[2][1] += 5.0
    assert sorted(cells[1] for cells in peers[0].cells(RATE)) == [10.0, 105.0]


def test_series_and_workers_that_come_later(workers: list[SharedCounters], tmp_path: Path) -> None:
    peers = PeerCounters(workers[0])
    peers.refresh()
    assert peers.cells(LATER_RATE) == ()
    workers[1].series(RATE, 3)
    workers[1].series(LATER_RATE, 1)[0] = 7.0
    newcomer = SharedCounters(tmp_path)
    newcomer.series(LATER_RATE, 1)[0] = 8.0
    peers.refresh()
    assert sorted(cells[0] for cells in peers.cells(LATER_RATE)) == [7.0, 8.0]
    newcomer.close()


def test_a_worker_that_is_starting_is_left_for_the_next_look(
    workers: list[SharedCounters], tmp_path: Path
) -> None:
    peers = PeerCounters(workers[0])
    (tmp_path / "9.cells").write_bytes(b"")
    peers.refresh()
    assert peers.cells(RATE) == ()
    workers[1].series(RATE, 1)[0] = 3.0
    peers.refresh()
    assert [cells[0] for cells in peers.cells(RATE)] == [3.0]


def test_numbers_of_this_process_alone_have_no_peers() -> None:
    peers = PeerCounters(SharedCounters())
    peers.refresh()
    assert peers.cells(RATE) == ()
