"""Measures the cost of a key and its rate limit for a request: `Authenticator.admit`, in process."""

from pathlib import Path
from secrets import token_urlsafe
from time import perf_counter

from benchmarks.report import GUARD, OURS, Report, Timing

from windlass.auth.key import Role
from windlass.settings import Settings
from windlass.web.authentication import Authenticator
from windlass.web.messages import Request, Response
from windlass.web.request_head import RequestHead
from windlass.web.routing import Route

TIMES = 100_000
KEYS = 100  # valid ones; the requests use one of them


def guard_timings(rounds: int, home: Path, report: Report) -> None:
    """Measures seconds for each request: reads the headers, looks up and compares the key, counts its rate."""
    keys = [f"wl_{token_urlsafe(32)}" for _ in range(KEYS)]
    listed = ",".join(f"bench{number}:predict:{key}" for number, key in enumerate(keys))
    authenticator = Authenticator.from_settings(
        Settings(home=home, auth=True, api_keys=listed, rate_limit=900_000_000)
    )
    assert authenticator is not None
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"x-api-key", keys[-1].encode()),
        (b"content-type", b"application/json"),
        (b"content-length", b"80"),
    ]
    request = Request(RequestHead("POST", "/predict", b"", headers), "0", 1 << 20)
    route = Route("POST", "/predict", _nothing, role=Role.PREDICT)
    for _ in range(rounds):
        started = perf_counter()
        for _ in range(TIMES):
            authenticator.admit(request, route)
        report.timings.append(Timing(GUARD, OURS, (perf_counter() - started) / TIMES))


async def _nothing(request: Request) -> Response:
    raise AssertionError(f"nobody answers {request.id}")
