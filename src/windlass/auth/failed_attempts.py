"""Counts failed authentication attempts by client address, for the most recent addresses."""

import ipaddress
from collections import OrderedDict
from math import ceil

MAX_FAILURES = 10  # a minute from one address
WINDOW_SECONDS = 60.0
MAX_ADDRESSES = 10_000


class FailedAttempts:
    """Counter of failed attempts by client address and minute; not thread-safe."""

    def __init__(self, max_addresses: int = MAX_ADDRESSES) -> None:
        self._max_addresses = max_addresses
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()  # start, failures

    def record(self, address: str, now: float) -> tuple[int, int]:
        """Counts a failure; returns the failures in this window, and the seconds until the next window begins.

        `now` is in seconds of a monotonic clock.
        """
        network = client_network(address)
        start, count = self._windows.pop(network, (now, 0))
        if now - start >= WINDOW_SECONDS:
            start, count = now, 0
        self._windows[network] = start, count + 1
        if len(self._windows) > self._max_addresses:
            self._windows.popitem(last=False)
        return count + 1, max(1, ceil(start - now + WINDOW_SECONDS))

    def __len__(self) -> int:
        return len(self._windows)


def client_network(address: str) -> str:
    """Returns an IPv4 address, or the /64 network of an IPv6 address, which one client may own; other text as it is."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
