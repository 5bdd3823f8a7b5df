"""Counters shared by the worker processes of a server: one small memory-mapped file for each worker."""

import fcntl
import json
import mmap
import os
import shutil
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from windlass.core.atomic_files import is_process_alive, make_private_folder

SeriesKey = tuple[str, ...]
if TYPE_CHECKING:
    Numbers = memoryview[float]  # float64 cells: `cells[i] += x`
else:
    Numbers = memoryview  # not subscriptable before Python 3.14

# bytes for each worker: room for about 3,000 latency series, of which a version needs about five
CAPACITY = 1 << 20
_HEADER = struct.Struct("<II")  # length of the key's JSON (written last), number of float64 cells


class SharedCounters:
    """Counters of one worker.

    Only this process writes them; a restarted worker continues them.

    The worker takes the file of the lowest free slot, so one that died leaves no file behind for ever.
    Without a folder the counters are in this process's memory only.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file: IO[bytes] | None = None
        self.path: Path | None = None
        if folder is None:
            self._map = mmap.mmap(-1, CAPACITY)
        else:
            self._file = _claim_slot(folder)
            self.path = Path(self._file.name)
            self._map = mmap.mmap(self._file.fileno(), CAPACITY)
        self._view = memoryview(self._map)
        self._series: dict[SeriesKey, Numbers] = {}
        self._end = 0
        for key, start, stop in iter_series(self._map):
            self._series[key] = self._view[start:stop].cast("d")
            self._end = stop
        self._folder = folder

    @classmethod
    def in_home(cls, home: Path, purpose: str = "") -> "SharedCounters":
        """Returns counters shared by all workers of this server; where the home cannot be written, own ones."""
        try:
            folder = counters_folder(home) / purpose
            make_private_folder(folder)
            return cls(folder)
        except OSError:
            return cls()

    def series(self, key: SeriesKey, width: int) -> Numbers:
        """Returns the `width` float64 cells of `key`, created on first use.

        Count with `cells[i] += x`.

        Where the file is full, the cells are in no sum. Labels are bounded, so that does not happen without a bug.
        """
        cells = self._series.get(key)
        if cells is None:
            cells = self._series[key] = self._append(key, width)
        return cells

    def close(self) -> None:
        """Releases the slot and its counts to a successor; counts made after this may be lost."""
        if self._file is not None:
            # the map keeps the file open until it is collected
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self._file.close()
            self._file = None

    def _append(self, key: SeriesKey, width: int) -> Numbers:
        name = json.dumps(key).encode()
        start = _aligned(self._end + _HEADER.size + len(name))
        stop = start + 8 * width
        if stop + _HEADER.size > CAPACITY:
            return memoryview(bytearray(8 * width)).cast("d")
        head = self._end
        self._view[head + _HEADER.size : head + _HEADER.size + len(name)] = name
        _HEADER.pack_into(self._view, head, 0, width)
        struct.pack_into("<I", self._view, head, len(name))
        self._end = stop
        return self._view[start:stop].cast("d")

    def sums(self) -> dict[SeriesKey, list[float]]:
        """Returns every series, summed over all workers that share the folder."""
        total: dict[SeriesKey, list[float]] = {}
        for content in self._contents():
            for key, start, stop in iter_series(content):
                cells: Numbers = memoryview(content)[start:stop].cast("d")
                values = list(cells)
                for index, value in enumerate(total.get(key, ())):
                    values[index] += value
                total[key] = values
        return total

    def _contents(self) -> Iterator[bytes]:
        if self._folder is None:
            yield bytes(self._map)
            return
        for path in sorted(self._folder.glob("*.cells")):
            yield path.read_bytes()


def counters_folder(home: Path) -> Path:
    """Returns the folder that the workers of one server share, named after the process that started them.

    Removes the folders of servers that have ended. Raises OSError where `home` cannot be written.
    """
    from multiprocessing import parent_process

    parent = parent_process()
    owner = os.getpid() if parent is None or parent.pid is None else parent.pid
    folders = home.absolute() / "run"
    folder = folders / str(owner)
    make_private_folder(folder)
    for other in folders.iterdir():
        if other.name.isdecimal() and not is_process_alive(int(other.name)):
            shutil.rmtree(other, ignore_errors=True)
    return folder


def _claim_slot(folder: Path) -> IO[bytes]:
    """Opens and locks the file of the lowest free slot; the lock ends with the process."""
    slot = 0
    while True:
        file = (folder / f"{slot}.cells").open("a+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            slot += 1
            continue
        try:
            # written, not only sized: on a full disk this fails, where a hole in a mapped file would kill the process
            file.write(bytes(CAPACITY - file.seek(0, os.SEEK_END)))
            file.flush()
        except OSError:
            file.close()
            raise
        return file


def iter_series(
    content: bytes | mmap.mmap, position: int = 0
) -> Iterator[tuple[SeriesKey, int, int]]:
    """Yields each series from `position` on as (key, first byte, last byte + 1) of its cells."""
    while position + _HEADER.size <= len(content):
        length, width = _HEADER.unpack_from(content, position)
        if not length:
            return
        name = position + _HEADER.size
        start = _aligned(name + length)
        yield tuple(json.loads(content[name : name + length])), start, start + 8 * width
        position = start + 8 * width


def _aligned(position: int) -> int:
    return (position + 7) & ~7


class PeerCounters:
    """Counters of the other workers that share a folder with this one.

    For use by one thread.

    A worker that died still counts until a successor takes over its slot.
    """

    def __init__(self, counters: SharedCounters) -> None:
        self._own = counters.path
        self._peers: dict[Path, _Peer] = {}

    def refresh(self) -> None:
        """Finds workers, and series of theirs, that were added since the last refresh."""
        if self._own is None:
            return
        for path in self._own.parent.glob("*.cells"):
            if path != self._own and path not in self._peers:
                # of a worker that is starting the file is not complete yet
                with suppress(OSError, ValueError):
                    self._peers[path] = _Peer(path)
        for peer in self._peers.values():
            peer.refresh()

    def cells(self, key: SeriesKey) -> tuple[Numbers, ...]:
        """Returns the live cells of `key` of each other worker that had that series at the last refresh."""
        return tuple(peer.series[key] for peer in self._peers.values() if key in peer.series)


class _Peer:
    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), CAPACITY, access=mmap.ACCESS_READ)
        self._view = memoryview(self._map)
        self.series: dict[SeriesKey, Numbers] = {}
        self._end = 0

    def refresh(self) -> None:
        for key, start, stop in iter_series(self._map, self._end):
            self.series[key] = self._view[start:stop].cast("d")
            self._end = stop
