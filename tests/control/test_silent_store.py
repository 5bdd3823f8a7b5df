"""A bundle store that says nothing: who may only read, and compares, holds up nobody who decides."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.control import REASON, Control, open_registry
from tests.support.tcp_proxy import TcpProxy
from tests.support.trained_bundles import BundleOf
from tests.support.waiting import wait_until

from windlass.control.backend import THREADS
from windlass.registry.registry import Registry
from windlass.settings import Settings


@pytest.fixture
def registry(s3_url: str, bundle_of: BundleOf, tmp_path: Path) -> Iterator[Registry]:
    settings = Settings(home=tmp_path, store_url=s3_url, store_http=True)
    registry = open_registry(settings, bundle_of)
    yield registry
    registry.close()


def test_comparisons_hold_up_no_decision(
    control: Control, registry: Registry, s3_url: str, s3_endpoint: str
) -> None:
    with (
        TcpProxy(int(s3_endpoint.rpartition(":")[2])) as wire,
        ThreadPoolExecutor(THREADS) as clients,
    ):
        address = f"http://127.0.0.1:{wire.port}"
        server = control("iris", WINDLASS_STORE_URL=s3_url, AWS_ENDPOINT_URL=address)
        wire.mute()
        comparisons = [
            clients.submit(server.client.get, f"/versions/{pair}")
            for pair in ("v1/compare/v2", "v2/compare/v1")
        ]
        wait_until(lambda: len(wire.swallowed) == THREADS, "both wait for the store")
        assert server.client.post("/versions/v2/reject", json=REASON).status_code == 200
        assert not any(comparison.done() for comparison in comparisons)
        wire.cut()  # and not only silent: they fail at once
        assert {comparison.result().status_code for comparison in comparisons} == {503}
