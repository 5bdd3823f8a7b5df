"""The way to the registry, where there is none any more."""

import asyncio
from pathlib import Path

from windlass.serving.rollout.registry_client import RegistryClient
from windlass.settings import Settings


def test_no_empty_registry_is_made_where_there_is_none(tmp_path: Path) -> None:
    link = RegistryClient(Settings(home=tmp_path))
    assert asyncio.run(link.live(["iris"])) is None
    link.close()
    assert link.told()["reachable"] is False
    assert "no database file" in str(link.reason)
    assert list(tmp_path.iterdir()) == []
