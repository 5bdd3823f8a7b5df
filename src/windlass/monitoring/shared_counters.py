"""Numbers that several processes write and any of them can sum: one small memory-mapped file a worker."""

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

from windlass.core.atomic_files import is_process_alive

SeriesKey = tuple[str, ...]
if TYPE_CHECKING:
    Numbers = memoryview[float]  # float64 cells: `cells[i] += x`
else:
    Numbers = memoryview  # not subscriptable before Python 3.14

CAPACITY = 1 << 20  # bytes a worker; room for some 3,000 latency series, five or so a version
_HEADER = struct.Struct("<II")  # length of the key's JSON (written last), number of float64 cells


class SharedCounters:
    """One worker's numbers. Only this process writes them; a restarted worker carries on with them.

    The file belongs to the lowest slot that is free, so a worker that died leaves nothing behind.
    Without a folder, the numbers live in this process alone.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file: IO[bytes] | None = None
        self.path: Path | None = None
        if folder is None:
            self._map = mmap.mmap(-1, CAPACITY)
        else:
            self._file = _claim(folder)
            self.path = Path(self._file.name)
            self._map = mmap.mmap(self._file.fileno(), CAPACITY)
        self._view = memoryview(self._map)
        self._known: dict[SeriesKey, Numbers] = {}
        self._end = 0
        for key, start, stop in records(self._map):
            self._known[key] = self._view[start:stop].cast("d")
            self._end = stop
        self._folder = folder

    def series(self, key: SeriesKey, width: int) -> Numbers:
        """The `width` float64 cells of `key`, made on first use; `cells[i] += x` is the way to count.

        Where the file is full the cells are counted by nobody: labels are bounded, so that is a fault.
        """
        cells = self._known.get(key)
        if cells is None:
            cells = self._known[key] = self._append(key, width)
        return cells

    def close(self) -> None:
        """Leave the slot and its numbers to a successor. What is counted from now on nobody may see."""
        if self._file is not None:
            fcntl.flock(
                self._file, fcntl.LOCK_UN
            )  # the map keeps the file open until it is collected
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
        """Every series, summed over all workers that share the folder."""
        total: dict[SeriesKey, list[float]] = {}
        for content in self._contents():
            for key, start, stop in records(content):
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


def shared_folder(home: Path) -> Path:
    """The folder that the workers of one server share, named by the process that started them.

    What servers that are gone left behind is removed. Raises OSError where `home` cannot be written.
    """
    from multiprocessing import parent_process

    parent = parent_process()
    owner = os.getpid() if parent is None or parent.pid is None else parent.pid
    run = home.absolute() / "run"
    folder = run / str(owner)
    folder.mkdir(parents=True, exist_ok=True)
    for other in run.iterdir():
        if other.name.isdecimal() and not is_process_alive(int(other.name)):
            shutil.rmtree(other, ignore_errors=True)
    return folder


def _claim(folder: Path) -> IO[bytes]:
    """Open and lock the lowest free slot; the lock ends with the process."""
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
            # written, not only sized: on a full disk this fails, where a mapped hole would kill us
            file.write(bytes(CAPACITY - file.seek(0, os.SEEK_END)))
            file.flush()
        except OSError:
            file.close()
            raise
        return file


def records(content: bytes | mmap.mmap, position: int = 0) -> Iterator[tuple[SeriesKey, int, int]]:
    """Each series from `position` on as (key, first byte, last byte + 1) of its cells."""
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
    """The cells of every worker that shares a folder with `cells`, but its own. For one thread.

    A worker that died still counts, until a successor takes its slot over.
    """

    def __init__(self, cells: SharedCounters) -> None:
        self._own = cells.path
        self._peers: dict[Path, _Peer] = {}

    def look(self) -> None:
        """Find workers, and series of theirs, that came since the last look."""
        if self._own is None:
            return
        for path in self._own.parent.glob("*.cells"):
            if path != self._own and path not in self._peers:
                with suppress(
                    OSError, ValueError
                ):  # one that is starting: its file is not whole yet
                    self._peers[path] = _Peer(path)
        for peer in self._peers.values():
            peer.look()

    def of(self, key: SeriesKey) -> tuple[Numbers, ...]:
        """The cells of `key` of each other worker that has them, as of the last look; they go on changing."""
        return tuple(peer.known[key] for peer in self._peers.values() if key in peer.known)


class _Peer:
    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), CAPACITY, access=mmap.ACCESS_READ)
        self._view = memoryview(self._map)
        self.known: dict[SeriesKey, Numbers] = {}
        self._end = 0

    def look(self) -> None:
        for key, start, stop in records(self._map, self._end):
            self.known[key] = self._view[start:stop].cast("d")
            self._end = stop
