"""How many requests a credential, or a machine without one, may send in a while.

A token bucket for each, in this process's memory: as many at once as a minute's allowance, then no
more than are refilled. Time is that of a clock that nobody can set back.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

_MOST_REMEMBERED = 8192
_NETWORK_BITS = 64
"""Of an IPv6 address: what a provider gives to one subscriber at least (RFC 6177), whose machines
choose the rest as they like.
"""


class RateLimit:
    """Token buckets of one size, for callers by name."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = float(per_minute)
        self._per_s = per_minute / 60
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, caller: str) -> float:
        """Take one request of `caller`; return 0, or in how many seconds the next is taken."""
        now = self._clock()
        left, since = self._buckets.pop(caller, (self._size, now))
        left = min(self._size, left + (now - since) * self._per_s)
        taken = left >= 1
        self._buckets[caller] = (left - 1 if taken else left, now)
        if len(self._buckets) > _MOST_REMEMBERED:
            # Whoever asked longest ago has refilled most.
            self._buckets.popitem(last=False)
        return 0.0 if taken else (1 - left) / self._per_s


def network_of(address: str | None) -> str:
    """Return by what name a machine without a credential is limited: its address, of IPv6 the
    network, since one machine has all addresses of it; `?` where it is not known.
    """
    if address is None:
        return "?"
    found = ip_address(address)
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(ip_network((found, _NETWORK_BITS), strict=False))
    return address
