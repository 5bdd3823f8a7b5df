"""The environment, read once: defaults, values, and refusals that name the variable."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.paths import ROOT

from windlass.errors import SettingsError
from windlass.settings import VARIABLES, Settings


def test_nothing_set_gives_the_documented_defaults() -> None:
    settings = Settings.read({})
    assert settings == Settings(
        home=Path(".windlass"), log_level="INFO", max_body=64 << 20, ledger=True
    )
    assert settings.vertex is None
    assert (settings.auth, settings.api_keys, settings.rate_limit) == (False, "", None)


def test_every_variable_is_read() -> None:
    settings = Settings.read(
        {
            "WINDLASS_HOME": "/data",
            "WINDLASS_LOG_LEVEL": "warning",
            "WINDLASS_MAX_BODY_MB": "0.5",
            "WINDLASS_LEDGER": "off",
            "WINDLASS_AUTH": "Required",
            "WINDLASS_ALLOW_HOST": "models.example.com, 10.0.0.5,,::1",
            "WINDLASS_API_KEYS": "ci:predict:not-to-be-shown",
            "WINDLASS_KEY": "wl_not-to-be-shown",
            "WINDLASS_RATE_LIMIT": "600",
            "WINDLASS_DATABASE_URL": "postgresql+psycopg://windlass:not-to-be-shown@db/windlass",
            "MLFLOW_TRACKING_URI": "https://mlflow.example.com",
        }
    )
    assert settings.home == Path("/data")
    assert settings.log_level == "WARNING"
    assert settings.max_body == 512 << 10
    assert settings.ledger is False
    assert settings.tracking_uri == "https://mlflow.example.com"
    assert (settings.auth, settings.rate_limit) == (True, 600)
    assert settings.allowed_hosts == ("models.example.com", "10.0.0.5", "::1")
    assert "not-to-be-shown" in settings.api_keys
    assert settings.key == "wl_not-to-be-shown"
    assert "not-to-be-shown" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WINDLASS_LOG_LEVEL", "loud"),
        ("WINDLASS_MAX_BODY_MB", "0"),
        ("WINDLASS_MAX_BODY_MB", "nan"),
        ("WINDLASS_MAX_BODY_MB", "much"),
        ("WINDLASS_LEDGER", "perhaps"),
        ("WINDLASS_AUTH", "on"),
        ("WINDLASS_AUTH", ""),
        ("WINDLASS_ALLOW_HOST", "https://models.example.com"),
        ("WINDLASS_ALLOW_HOST", "models.example.com:443"),
        ("WINDLASS_ALLOW_HOST", "*.example.com"),
        ("WINDLASS_LEDGER_MAX_DAYS", "0"),
        ("WINDLASS_LEDGER_MAX_MB", "much"),
        ("WINDLASS_RATE_LIMIT", "0"),
        ("WINDLASS_RATE_LIMIT", "-5"),
        ("WINDLASS_RATE_LIMIT", "1.5"),
        ("WINDLASS_RATE_LIMIT", "9" * 5000),
        ("AIP_PREDICT_ROUTE", "predict"),
        ("AIP_HTTP_PORT", "-1"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        Settings.read({variable: value})


def test_any_of_vertex_variables_asks_for_its_contract() -> None:
    vertex = Settings.read({"AIP_PREDICT_ROUTE": "/v1/endpoints/1:predict"}).vertex
    assert vertex is not None
    assert (vertex.port, vertex.health_route, vertex.predict_route) == (
        8080,
        "/health",
        "/v1/endpoints/1:predict",
    )


@pytest.mark.parametrize("text", ["off", "OFF", ""])
def test_no_rate_limit(text: str) -> None:
    assert Settings.read({"WINDLASS_RATE_LIMIT": text}).rate_limit is None


def test_every_variable_is_in_the_table_of_the_readme() -> None:
    read: set[str] = set()

    class Environment(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            read.add(name)
            return super().get(name, default)

        def __contains__(self, name: object) -> bool:
            read.add(str(name))
            return super().__contains__(name)

    Settings.read(Environment({"AIP_HTTP_PORT": "8080"}), near=[ROOT])
    listed = {name for variable in VARIABLES for name in variable.names}
    # of the cloud's own clients: their addresses say whether the store is on this machine
    theirs = {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT"}
    assert read - theirs == listed
    readme = (ROOT / "README.md").read_text()
    for variable in VARIABLES:
        names = ", ".join(f"`{name}`" for name in variable.names)
        row = " ".join(f"| {names} | {variable.default} | {variable.meaning} |".split())
        assert row in readme
