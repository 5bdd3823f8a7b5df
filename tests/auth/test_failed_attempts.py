"""Wrong keys by address: counted for a minute, within bounds."""

import pytest

from windlass.auth.failed_attempts import FailedAttempts, client_network


def test_counted_by_address_for_a_minute() -> None:
    attempts = FailedAttempts()
    assert [attempts.record("10.0.0.1", now) for now in (0.0, 10.0, 59.5)] == [
        (1, 60), (2, 50), (3, 1),
    ]  # fmt: skip
    assert attempts.record("10.0.0.2", 59.9) == (1, 60)
    assert attempts.record("10.0.0.1", 60.0) == (1, 60)
    assert attempts.record("10.0.0.1", 60.5) == (2, 60)


def test_the_oldest_address_makes_room() -> None:
    attempts = FailedAttempts(max_addresses=1000)
    for number in range(5000):
        attempts.record(f"10.0.{number // 256}.{number % 256}", 1.0)
        attempts.record("10.9.9.9", 1.0)
    assert len(attempts) == 1000
    assert attempts.record("10.9.9.9", 1.0)[0] == 5001  # it kept coming
    assert attempts.record("10.0.0.0", 1.0)[0] == 1  # it did not


@pytest.mark.parametrize(
    ("item", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("fe80::1%eth0", "fe80::2%eth1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
    ],
)
def test_addresses_of_one_caller(item: str, other: str) -> None:
    assert client_network(item) == client_network(other)


def test_addresses_of_several() -> None:
    addresses = [
        "10.0.0.1",
        "10.0.0.2",
        "2001:db8:1:2::1",
        "2001:db8:1:3::1",
        "::ffff:10.0.0.3",
        "",
        ":x",
        "unix:",
    ]
    assert len({client_network(address) for address in addresses}) == len(addresses)
