"""Versions change while clients ask without pause: no request fails, and every answer is of the version it names."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from tests.support.budget import IS_CI
from tests.support.load_clients import Load
from tests.support.registry_home import (
    RegistryHome,
    altered_copy,
    answer_probabilities,
    other_bundle,
    wait_for_log,
)
from tests.support.server import FLOWER, Serve, Server, post
from tests.support.trained_bundles import BundleOf
from tests.support.waiting import wait_until

NAME = Path("iris")  # of the project, in the registry
SWAPS = 20 if IS_CI else 10


class Asking(Load):
    """Clients that note what every answer said. Some of them ask for `v1` by name."""

    def __init__(self, port: int) -> None:
        super().__init__(port, clients=8)
        self.seen: Counter[tuple[str, tuple[float, ...]]] = Counter()
        self._paths = iter(["/predict", "/predict", "/iris/predict", "/predict?version=v1"] * 2)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = next(self._paths)
        request = post(path, json.dumps(FLOWER).encode())
        while not self._stopped.is_set():
            try:
                writer.write(request)
                status, body = await _whole(reader)
            except (OSError, EOFError) as error:
                self.result.failures.append(repr(error))
                return
            self.result.statuses[status] += 1
            if status != 200:
                self.result.failures.append(body.decode())
                continue
            version, given = answer_probabilities(body)
            if "?" in path and version != "v1":
                self.result.failures.append(f"asked for v1, answered by {version}")
            self.seen[version, given] += 1
            self._answered.set()


async def _whole(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


def ready(server: Server) -> list[dict[str, Any]]:
    """The switches that workers told of so far."""
    return wait_for_log(server, "version ready")


@pytest.mark.parametrize("workers", [1, 2])
def test_swaps_and_rollbacks(
    serve: Serve,
    registry_home: RegistryHome,
    bundle_of: BundleOf,
    iris: Path,
    tmp_path: Path,
    workers: int,
) -> None:
    names = {registry_home.live(iris): iris}
    server = serve(NAME, home=registry_home.home, options=["--workers", str(workers)])
    for index in range(SWAPS // 2):  # every second one is new, and is loaded while requests go on
        bundle = iris if index % 2 else other_bundle(bundle_of)
        copy = altered_copy(bundle, tmp_path / f"next-{index}")
        names[registry_home.add(copy)] = copy
    wait_until(lambda: len(ready(server)) == workers, "every worker ready")
    with Asking(server.port) as load:
        for turn, name in enumerate(list(names)[1:]):
            registry_home.approve(name)
            wait_until(lambda: len(ready(server)) >= workers * (2 * turn + 2), f"{name} everywhere")  # noqa: B023
            registry_home.rollback()
            wait_until(lambda: len(ready(server)) >= workers * (2 * turn + 3), "rolled back")  # noqa: B023
    assert load.result.failures == []
    assert set(load.result.statuses) == {200}
    _each_answer_is_of_the_version_it_names(load, names, server)
    # the promise, where it can be judged beside a load that leaves no core idle: most of the time
    assert median(line["seconds_after_decision"] for line in ready(server)[workers:]) < 2
    server.stop()
    assert [line for line in server.lines() if line["level"] in ("error", "critical")] == []


def _each_answer_is_of_the_version_it_names(
    load: Asking, names: dict[str, Path], server: Server
) -> None:
    """All that were live answered, each with one and the same answer, which is its own."""
    seen = {version for version, _ in load.seen}
    assert seen == set(names)
    assert len(load.seen) == len(names)
    truth = {}
    for version in names:
        answer = server.client.post(f"/predict?version={version}", json=FLOWER)
        truth[version] = answer_probabilities(answer.content)[1]
    assert dict(load.seen.keys()) == truth
    assert len(set(truth.values())) == 2


def test_a_batch_is_of_one_version(
    serve: Serve, registry_home: RegistryHome, bundle_of: BundleOf, iris: Path
) -> None:
    """A large batch, worked off the event loop while versions change, is answered by the one it names."""
    registry_home.live(iris)
    other = registry_home.add(other_bundle(bundle_of))
    server = serve(NAME, home=registry_home.home)
    truth: dict[str, Any] = {}
    registry_home.approve(other)
    versions = set()
    for turn in range(6):
        body = server.client.post("/predict_batch", json=[FLOWER] * 5000).json()
        given = {tuple(round(x, 10) for x in row.values()) for row in body["class_probabilities"]}
        assert len(given) == 1
        assert truth.setdefault(body["model_version"], given) == given
        versions.add(body["model_version"])
        before = len(ready(server))
        registry_home.rollback()
        if turn % 2:
            wait_until(lambda: len(ready(server)) > before, "switched")  # noqa: B023
    assert versions == {"v1", "v2"}
    assert truth["v1"] != truth["v2"]
