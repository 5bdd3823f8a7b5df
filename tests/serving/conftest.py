"""Shared fixtures of the feature tests: one server with a client project, which tests only read."""

import pytest
from tests.support.online_clients import PROJECT, approve_bundle, fill_store
from tests.support.registry_home import RegistryHome, registry_home
from tests.support.server import Serve, Server
from tests.support.trained_bundles import BundleOf

__all__ = ["registry_home"]  # a fixture


@pytest.fixture(scope="session")
def clients_server(
    session_server: Serve, bundle_of: BundleOf, tmp_path_factory: pytest.TempPathFactory
) -> Server:
    """Clients at the root of a server that follows the registry: v1 and v2, and 10,000 more than have a name."""
    registered = RegistryHome(tmp_path_factory.mktemp("clients") / "home")
    approve_bundle(registered, bundle_of("clients"))
    approve_bundle(registered, bundle_of("clients", seed=7))
    fill_store(registered.settings, many=10_000)
    registered.close()
    return session_server(PROJECT, home=registered.home, options=["--no-worker"])
