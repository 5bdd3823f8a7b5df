"""Protection of a server without keys: which hosts it answers as, and which web pages may send it requests.

A web page can send requests to a server on the reader's own machine. Where a key is required, the page lacks it.
Without keys, requests are refused whose Host is not one of this server (DNS rebinding), or that come from a page of
another site (cross-site request forgery).
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from windlass.settings import ANY_HOST
from windlass.web.messages import Request
from windlass.web.problems import Problem
from windlass.web.routing import Route

_CACHE_SIZE = 256


class CrossOriginProtection:
    """Refuses requests for other hosts and from pages of other sites, with 403."""

    def __init__(self, allowed_hosts: Iterable[str] = ()) -> None:
        """`allowed_hosts` are answered beside loopback hosts; one of them may be ANY_HOST."""
        hosts = frozenset(host.lower().rstrip(".") for host in allowed_hosts)
        self._allow_any = ANY_HOST in hosts
        self._is_own = _cached(lambda value: _is_own(_host(value), hosts))
        self._is_own_origin = _cached(lambda value: _is_own(_origin_host(value), hosts))

    def admit(self, request: Request, route: Route) -> None:  # noqa: ARG002 - as of an Authenticator
        """Accepts a request. Raises Problem 403."""
        host = origin = site = b""
        for name, value in request.head.headers:
            if name == b"host":
                host = value
                if not (self._is_own(value) or self._allow_any or _is_address(value, request)):
                    raise Problem(403, _FOREIGN_HOST)
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
        if site == b"cross-site" and not _is_navigation(request):
            raise Problem(403, _FOREIGN_PAGE)
        if origin and not (self._is_own_origin(origin) or _is_same_origin(origin, host)):
            raise Problem(403, _FOREIGN_PAGE)


_FOREIGN_HOST = (
    "No key is required here, so only loopback hosts are answered, such as localhost."
    " Start the server with --allow-host and this host (WINDLASS_ALLOW_HOST), or with WINDLASS_AUTH=required."
)
_FOREIGN_PAGE = (
    "No key is required here, so pages of other sites may not send requests. If this page is yours, start the"
    " server with --allow-host and its host (WINDLASS_ALLOW_HOST), or with WINDLASS_AUTH=required."
)


def _cached(check: Callable[[bytes], bool]) -> Callable[[bytes], bool]:
    return lru_cache(_CACHE_SIZE)(check)


def _is_own(host: str, allowed: frozenset[str]) -> bool:
    """Returns whether a host is a loopback one, or allowed."""
    if not host:
        return False
    if host in allowed or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _host(value: bytes) -> str:
    """Returns the host of a Host header, without port and brackets; empty where it has none."""
    return _origin_host(b"//" + value)


def _origin_host(value: bytes) -> str:
    """Returns the host of an origin; empty for `null` and anything else."""
    try:
        parts = urlsplit(value.decode("ascii"))
        host, _ = parts.hostname, parts.port  # an invalid port raises
    except ValueError:
        return ""
    is_plain = not (parts.path or parts.query or parts.fragment or parts.username is not None)
    return (host or "").rstrip(".") if is_plain else ""


def _is_address(host: bytes, request: Request) -> bool:
    """Returns whether a host is the numeric address that the client connected to, which no DNS name leads to."""
    return bool(request.server) and _host(host) == request.server


def _is_same_origin(origin: bytes, host: bytes) -> bool:
    """Returns whether a page comes from this server, as its proxy or `ANY_HOST` names it."""
    return bool(host) and origin.lower().partition(b"://")[2] == host.lower()


def _is_navigation(request: Request) -> bool:
    """Returns whether a person follows a link of another site to a page of ours, such as /docs."""
    return (
        request.head.method == "GET"
        and request.header(b"sec-fetch-mode") == b"navigate"
        and request.header(b"sec-fetch-dest") == b"document"
    )
