"""The lines to try that `windlass serve` prints name an id that the store knows, and do not wait for a silent one."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.loan_view import PROJECT_VIEW
from tests.support.online_clients import PROJECT, fill_store
from tests.support.trained_bundles import BundleOf

from windlass.cli.banner import banner, entity_lines
from windlass.core.bundle import Bundle, GateRecord
from windlass.serving.targets import NamedVersion, ServeTarget, ServiceRole
from windlass.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def lines(settings: Settings) -> list[str]:
    """What is printed about features."""
    served = [ServeTarget(str(PROJECT), view=PROJECT_VIEW)]
    output = banner(served, settings, "127.0.0.1", 8000, ServiceRole.FEATURES)
    return [line for line in output.splitlines() if "features" in line]


def test_an_id_that_is_known_or_how_some_get_there(settings: Settings) -> None:
    (line,) = lines(settings)
    assert "windlass features build clients && windlass features materialise clients" in line
    fill_store(settings)
    (line,) = lines(settings)
    assert line.startswith("  curl http://127.0.0.1:8000/features/")


def test_a_store_that_says_nothing(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        elsewhere = replace(settings, online_url=url)
        commands = ["  curl http://127.0.0.1:8000/features/{}"]
        printed = entity_lines(str(PROJECT), PROJECT_VIEW, elsewhere, commands, timeout=0.05)
        assert list(printed) == []
    assert lines(replace(settings, online_url="redis://127.0.0.1:1/0")) == []


def test_the_banner_of_a_version_by_its_name_says_what_speaks_against_it(
    settings: Settings, bundle_of: BundleOf
) -> None:
    bundle = replace(Bundle.open(bundle_of("iris")), registered_version="v3")
    named = NamedVersion(Path("iris"), "v3")
    target = ServeTarget("iris", bundle, named=named, warning="iris v3 is a candidate.")
    output = banner([target], settings, "127.0.0.1", 8000)
    assert "iris v3 is served, whatever the registry decides. iris v3 is a candidate.\n" in output


@pytest.mark.parametrize("passed", [True, False])
def test_the_banner_of_a_bundle_without_a_registry_says_so(
    settings: Settings, bundle_of: BundleOf, passed: bool
) -> None:
    bundle = Bundle.open(bundle_of("iris"))
    gates = (GateRecord(rule="accuracy >= 0.9", value=0.5, passed=passed),)
    alone = replace(bundle, manifest=bundle.manifest.model_copy(update={"gates": gates}))
    output = banner([ServeTarget("iris", alone)], settings, "127.0.0.1", 8000)
    assert (
        f"iris is served from the folder {bundle.path}, without a registry: its version" in output
    )
    assert ("Not every gate passed." in output) is not passed
