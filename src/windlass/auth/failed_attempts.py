"""Wrong keys, counted by the address that they come from; as many addresses as fit, the latest."""

import ipaddress
from collections import OrderedDict
from math import ceil

MAX_WRONG = 10  # a minute from one address
SECONDS = 60.0
MAX_ADDRESSES = 10_000


class FailedAttempts:
    """Counts wrong keys. Not for several threads."""

    def __init__(self, most: int = MAX_ADDRESSES) -> None:
        self._most = most
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()  # when it began, how many

    def wrong(self, address: str, now: float) -> tuple[int, int]:
        """Count one more; how many it are in this minute, and seconds until the next minute begins.

        `now` is in seconds on any clock that never goes back.
        """
        place = network_of(address)
        begun, count = self._seen.pop(place, (now, 0))
        if now - begun >= SECONDS:
            begun, count = now, 0
        self._seen[place] = begun, count + 1
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return count + 1, max(1, ceil(begun - now + SECONDS))

    def __len__(self) -> int:
        return len(self._seen)


def network_of(address: str) -> str:
    """The address, or of IPv6 its /64, all of which one caller may have. What is no address stays as it is."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
