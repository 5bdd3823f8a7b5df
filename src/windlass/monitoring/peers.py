"""The numbers of a server's other workers, mapped: to read them is a look into memory."""

import mmap
from contextlib import suppress
from pathlib import Path

from windlass.monitoring.cells import CAPACITY, Cells, Key, Numbers, records


class Peers:
    """The cells of every worker that shares a folder with `cells`, but its own. For one thread.

    A worker that died still counts, until a successor takes its slot over.
    """

    def __init__(self, cells: Cells) -> None:
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

    def of(self, key: Key) -> tuple[Numbers, ...]:
        """The cells of `key` of each other worker that has them, as of the last look; they go on changing."""
        return tuple(peer.known[key] for peer in self._peers.values() if key in peer.known)


class _Peer:
    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), CAPACITY, access=mmap.ACCESS_READ)
        self._view = memoryview(self._map)
        self.known: dict[Key, Numbers] = {}
        self._end = 0

    def look(self) -> None:
        for key, start, stop in records(self._map, self._end):
            self.known[key] = self._view[start:stop].cast("d")
            self._end = stop
