"""The only reader of the environment. Read once by an entry point, then passed on as a value."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from windlass.errors import SettingsError

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_SWITCH = {"on": True, "1": True, "true": True, "off": False, "0": False, "false": False}


@dataclass(frozen=True)
class Settings:
    """Everything that the environment decides. `Settings.read()` makes one."""

    home: Path = Path(".windlass")
    log_level: str = "INFO"
    max_body: int = 64 << 20  # bytes
    ledger: bool = True
    tracking_uri: str | None = None
    vertex: "Vertex | None" = None

    @staticmethod
    def read(environment: Mapping[str, str] = os.environ) -> "Settings":
        """The settings in `environment`. Raises SettingsError, naming the variable."""
        return Settings(
            home=Path(environment.get("WINDLASS_HOME", ".windlass")),
            log_level=_choice(environment, "WINDLASS_LOG_LEVEL", _LEVELS, "INFO"),
            max_body=int(_positive(environment, "WINDLASS_MAX_BODY_MB", 64) * (1 << 20)),
            ledger=_switch(environment, "WINDLASS_LEDGER", default=True),
            tracking_uri=environment.get("MLFLOW_TRACKING_URI") or None,
            vertex=Vertex.read(environment),
        )


@dataclass(frozen=True)
class Vertex:
    """Vertex AI's container contract: where it wants to be answered."""

    port: int
    health_route: str
    predict_route: str

    @staticmethod
    def read(environment: Mapping[str, str]) -> "Vertex | None":
        """The contract, where any of its variables is set."""
        if not any(
            name in environment
            for name in ("AIP_HTTP_PORT", "AIP_HEALTH_ROUTE", "AIP_PREDICT_ROUTE")
        ):
            return None
        return Vertex(
            port=int(_positive(environment, "AIP_HTTP_PORT", 8080)),
            health_route=_route(environment, "AIP_HEALTH_ROUTE", "/health"),
            predict_route=_route(environment, "AIP_PREDICT_ROUTE", "/predict"),
        )


def _choice(
    environment: Mapping[str, str], name: str, choices: tuple[str, ...], default: str
) -> str:
    value = environment.get(name, default).upper()
    if value not in choices:
        raise SettingsError(f"{name} is {value!r}. Use one of: {', '.join(choices)}.")
    return value


def _positive(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise SettingsError(f"{name} is {text!r}. Use a number greater than 0.")
    return value


def _switch(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environment.get(name, "on" if default else "off").lower()
    if text not in _SWITCH:
        raise SettingsError(f"{name} is {text!r}. Use on or off.")
    return _SWITCH[text]


def _route(environment: Mapping[str, str], name: str, default: str) -> str:
    value = environment.get(name, default)
    if not value.startswith("/") or set(value) & set("{}"):
        raise SettingsError(
            f"{name} is {value!r}. Use a path that starts with a slash, without braces."
        )
    return value
