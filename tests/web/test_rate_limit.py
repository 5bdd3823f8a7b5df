"""Rates: counted in sliding minutes, over all workers, within the bounds that are promised."""

import random
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.child_process import ChildProcess, python_command

from windlass.monitoring.shared_counters import SharedCounters
from windlass.web.rate_limit import SUM_SECONDS, RateLimiter, RateLimits

RatesOf = Callable[[], RateLimits]
START = 60.0 * 1000
WORKER = """
import sys
from pathlib import Path
from windlass.monitoring.shared_counters import SharedCounters
from windlass.web.rate_limit import RateLimits
rates = RateLimits(SharedCounters(Path(sys.argv[1])))
limiter = rates.limiter("ci", 100)
for line in sys.stdin:
    rates.refresh()
    wait, _ = limiter.acquire(float(line))
    print(wait, flush=True)
"""


@pytest.fixture
def rates_of(tmp_path: Path) -> Iterator[RatesOf]:
    opened: list[RateLimits] = []

    def make() -> RateLimits:
        opened.append(RateLimits(SharedCounters(tmp_path)))
        return opened[-1]

    yield make
    for rates in opened:
        rates.close()


def limiter(rate: int) -> RateLimiter:
    return RateLimits(SharedCounters()).limiter("ci", rate)


def acquired(limiter: RateLimiter, now: float) -> tuple[int, str, str]:
    """(wait, RateLimit, RateLimit-Policy)."""
    wait, lines = limiter.acquire(now)
    headers = dict(line.split(": ", 1) for line in lines.decode().splitlines())
    return wait, headers["ratelimit"], headers["ratelimit-policy"]


def test_the_headers_say_what_is_left() -> None:
    ci = limiter(3)
    policy = '"key";q=3;w=60'
    assert acquired(ci, START) == (0, '"key";r=2;t=60', policy)
    assert acquired(ci, START + 20.5) == (0, '"key";r=1;t=40', policy)
    assert acquired(ci, START + 21) == (0, '"key";r=0;t=39', policy)
    wait, field, _ = acquired(ci, START + 22)
    assert field == f'"key";r=0;t={wait}'


def test_refused_requests_do_not_count() -> None:
    ci = limiter(10)
    for _ in range(1000):
        ci.acquire(START + 30)
    assert [ci.acquire(START + 59)[0] > 0, ci.acquire(START + 180)[0]] == [True, 0]


@pytest.mark.parametrize("rate", [1, 2, 3, 7, 60, 1000])
@pytest.mark.parametrize("at", [0.0, 17.3, 59.9])
def test_a_request_after_retry_after_is_admitted_and_not_much_before(rate: int, at: float) -> None:
    ci = limiter(rate)
    for number in range(rate):
        assert ci.acquire(START + at + number / rate / 1000)[0] == 0
    now = START + at + 0.01
    wait = ci.acquire(now)[0]
    assert 1 <= wait <= 120
    if wait > 1:
        assert ci.acquire(now + wait - 1.01)[0] > 0
    assert ci.acquire(now + wait)[0] == 0


def test_a_spent_minute_comes_free_bit_by_bit() -> None:
    ci = limiter(60)
    for _ in range(60):
        assert ci.acquire(START + 59)[0] == 0
    let_in = [ci.acquire(START + 90)[0] == 0 for _ in range(60)]
    assert let_in == [True] * 30 + [False] * 30
    assert ci.acquire(START + 90.5)[0] == 0
    assert ci.acquire(START + 90.5)[0] == 1  # half a second more would do


@pytest.mark.parametrize("rate", [5, 60, 600])
def test_a_greedy_client_gets_its_rate_and_at_most_twice_in_any_minute(rate: int) -> None:
    ci, noise = limiter(rate), random.Random(rate)
    now, admitted, recent, worst = START, 0, deque[float](), 0
    while now < START + 3600:
        if ci.acquire(now)[0] == 0:
            admitted += 1
            recent.append(now)
        while recent and recent[0] <= now - 60:
            recent.popleft()
        worst = max(worst, len(recent))
        now += noise.expovariate(rate / 10)
    assert worst <= 2 * rate
    assert 0.9 * rate * 60 <= admitted <= 1.05 * rate * 60


def test_a_minute_without_requests_is_forgotten() -> None:
    ci = limiter(5)
    for at in (0, 120, 240, 300 * 60):
        assert [ci.acquire(START + at + 1)[0] for _ in range(5)] == [0] * 5


def test_several_workers_share_one_rate(rates_of: RatesOf) -> None:
    workers = [rates_of() for _ in range(4)]
    meters = [rates.limiter("ci", 100) for rates in workers]
    other_workers = [rates.limiter("other", 100) for rates in workers]
    for rates in workers:
        rates.refresh()
    admitted = sum(
        meters[step % 4].acquire(START + step * SUM_SECONDS / 4)[0] == 0 for step in range(400)
    )
    assert 100 <= admitted <= 103  # each knows the others' count but for the last tenth of a second
    assert other_workers[0].acquire(START + 11)[0] == 0  # keys do not disturb one another


def test_the_overshoot_is_what_others_admit_within_a_tenth_of_a_second(rates_of: RatesOf) -> None:
    workers = [rates_of() for _ in range(4)]
    meters = [rates.limiter("ci", 100) for rates in workers]
    for rates in workers:
        rates.refresh()
    for meter in meters:
        meter.acquire(START)
    burst = sum(meter.acquire(START + 0.01)[0] == 0 for meter in meters for _ in range(100))
    assert burst == 4 * 100 - 1 - 2 - 3 - 4  # nobody has read the others yet: the worst there is
    assert [meter.acquire(START + 0.01 + SUM_SECONDS)[0] > 0 for meter in meters] == [True] * 4


def test_processes_share_and_a_dead_ones_use_still_counts(
    tmp_path: Path, rates_of: RatesOf
) -> None:
    mine = rates_of()
    ci = mine.limiter("ci", 100)
    with ChildProcess(python_command(WORKER, tmp_path)) as worker:
        for step in range(60):
            worker.write_line(str(START + step / 100))
            assert worker.read_line() == "0"
        worker.kill()
    mine.refresh()
    assert sum(ci.acquire(START + 1 + step / 100)[0] == 0 for step in range(100)) == 40
    successor = rates_of().limiter("ci", 100)  # takes the dead one's slot over, and its use
    assert successor.previous_count == 0
    assert sum(successor.acquire(START + 3)[0] == 0 for _ in range(100)) == 40


def test_full_cells_leave_a_rate_to_each_worker(rates_of: RatesOf) -> None:
    rates = rates_of()
    meters = [rates.limiter(f"key-{number}", 5) for number in range(5000)]
    rates.refresh()
    for meter in (meters[0], meters[-1]):
        assert [meter.acquire(START)[0] > 0 for _ in range(6)] == [False] * 5 + [True]
