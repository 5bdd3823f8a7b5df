"""Settings from environment variables; an entry point reads them once and passes them on as a value."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from windlass.errors import SettingsError
from windlass.home import HOME, find_home

ANY_HOST = "*"  # of allowed_hosts

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_CLOUDS = ("AWS", "AZURE", "GOOGLE")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*").fullmatch
_DIGEST = re.compile(r"[0-9a-f]{64}").fullmatch
_BOOLEANS = {"on": True, "1": True, "true": True, "off": False, "0": False, "false": False}


@dataclass(frozen=True)
class Settings:
    """All settings. `Settings.read()` reads them from environment variables."""

    home: Path = Path(HOME)
    log_level: str = "INFO"
    max_body: int = 64 << 20  # bytes
    ledger: bool = True
    ledger_max_days: float | None = None  # after which records are removed; None: never
    ledger_max_mb: float | None = None  # of one project's ledger, in MiB; None: any
    database_url: str | None = field(default=None, repr=False)  # None: SQLite in the home folder
    store_url: str | None = None  # None: the home folder
    store_http: bool = False  # whether the store's URL may be plain HTTP
    digests: tuple[str, ...] = ()  # of the bundles that may be served by path; none: any
    allow_pickle: bool = False  # whether a bundle by path may be unpickled
    signing_key: Path | None = None  # private key that signs bundles
    verify_key: Path | None = None  # public key that must have signed every bundle that is served
    online_url: str | None = field(default=None, repr=False)  # None: SQLite in the home folder
    auth: bool = False  # whether requests need an API key
    allowed_hosts: tuple[str, ...] = ()  # that a server without keys answers, beside loopback hosts
    api_keys: str = field(default="", repr=False)  # parsed by windlass.auth.env_keys
    # API key of the person who uses the command line
    key: str | None = field(default=None, repr=False)
    rate_limit: int | None = None  # requests per minute, for keys without a rate of their own
    tracking_uri: str | None = None
    vertex: "Vertex | None" = None

    @staticmethod
    def read(
        environment: Mapping[str, str] = os.environ, *, near: Sequence[Path] = ()
    ) -> "Settings":
        """Reads the settings; without WINDLASS_HOME, the home is the nearest of these projects or bundles.

        Raises SettingsError, which names the variable, for a value that cannot be used.
        """
        home = environment.get("WINDLASS_HOME")
        return Settings(
            home=Path(home) if home else find_home(near),
            log_level=_choice(environment, "WINDLASS_LOG_LEVEL", _LEVELS, "INFO"),
            max_body=int(_positive(environment, "WINDLASS_MAX_BODY_MB", 64) * (1 << 20)),
            ledger=_boolean(environment, "WINDLASS_LEDGER", default=True),
            ledger_max_days=_limit(environment, "WINDLASS_LEDGER_MAX_DAYS"),
            ledger_max_mb=_limit(environment, "WINDLASS_LEDGER_MAX_MB"),
            database_url=environment.get("WINDLASS_DATABASE_URL") or None,
            store_url=environment.get("WINDLASS_STORE_URL") or None,
            store_http=_allow_http(environment),
            digests=parse_digests(environment.get("WINDLASS_DIGEST", "")),
            allow_pickle=_boolean(environment, "WINDLASS_ALLOW_PICKLE", default=False),
            signing_key=_path(environment, "WINDLASS_SIGNING_KEY"),
            verify_key=_path(environment, "WINDLASS_VERIFY_KEY"),
            online_url=environment.get("WINDLASS_ONLINE_URL") or None,
            auth=_choice(environment, "WINDLASS_AUTH", ("off", "required"), "off") == "required",
            allowed_hosts=parse_hosts(environment.get("WINDLASS_ALLOW_HOST", "")),
            api_keys=environment.get("WINDLASS_API_KEYS", ""),
            key=environment.get("WINDLASS_KEY") or None,
            rate_limit=_rate(environment, "WINDLASS_RATE_LIMIT"),
            tracking_uri=environment.get("MLFLOW_TRACKING_URI") or None,
            vertex=Vertex.read(environment),
        )


@dataclass(frozen=True)
class Vertex:
    """Port and routes that Vertex AI's container contract asks for."""

    port: int
    health_route: str
    predict_route: str

    @staticmethod
    def read(environment: Mapping[str, str]) -> "Vertex | None":
        """Reads the contract; None if none of its variables is set."""
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


def _list(text: str) -> tuple[str, ...]:
    return tuple(part for part in (part.strip() for part in text.split(",")) if part)


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    return Path(environment[name]) if environment.get(name) else None


def parse_digests(text: str, name: str = "WINDLASS_DIGEST") -> tuple[str, ...]:
    """Returns SHA-256 digests from a list with commas. Raises SettingsError, which names the variable or option."""
    digests = _list(text.lower())
    for digest in digests:
        if not _DIGEST(digest):
            raise SettingsError(
                f"{name} is {digest!r}. Use the whole digest of a bundle, 64 hexadecimal digits."
            )
    return digests


def parse_hosts(text: str, name: str = "WINDLASS_ALLOW_HOST") -> tuple[str, ...]:
    """Returns host names from a list with commas. Raises SettingsError, which names the variable or option."""
    hosts = _list(text)
    for host in hosts:
        if host != ANY_HOST and not _HOST(host):
            raise SettingsError(
                f"{name} is {host!r}. Name a host without scheme and port, such as models.example.com,"
                " or * for any host."
            )
    return hosts


def _choice(
    environment: Mapping[str, str], name: str, choices: tuple[str, ...], default: str
) -> str:
    text = environment.get(name, default)
    for choice in choices:
        if text.lower() == choice.lower():
            return choice
    raise SettingsError(f"{name} is {text!r}. Use one of: {', '.join(choices)}.")


def _positive(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise SettingsError(f"{name} is {text!r}. Use a number greater than 0.")
    return value


def _limit(environment: Mapping[str, str], name: str) -> float | None:
    is_off = environment.get(name, "off").lower() == "off"
    return None if is_off else _positive(environment, name, 0)


def _allow_http(environment: Mapping[str, str]) -> bool:
    """Whether plain HTTP is allowed: for a store on this machine, or if a variable says so. It exposes keys."""
    if any(environment.get(f"{cloud}_ALLOW_HTTP", "").lower() == "true" for cloud in _CLOUDS):
        return True
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT")
    address = next((environment[name] for name in names if environment.get(name)), "")
    try:
        return urlsplit(address).hostname in ("127.0.0.1", "::1", "localhost")
    except ValueError:  # not a URL; the store reports that when it is used
        return False


def _rate(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "off").lower()
    if text in ("", "off"):
        return None
    if len(text) > 9 or not text.isdecimal() or not int(text):
        raise SettingsError(
            f"{name} is {text[:20]!r}. Use a whole number of requests a minute, up to 999999999, or off."
        )
    return int(text)


def _boolean(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environment.get(name, "on" if default else "off").lower()
    if text not in _BOOLEANS:
        raise SettingsError(f"{name} is {text!r}. Use on or off.")
    return _BOOLEANS[text]


def _route(environment: Mapping[str, str], name: str, default: str) -> str:
    value = environment.get(name, default)
    if not value.startswith("/") or set(value) & set("{}"):
        raise SettingsError(
            f"{name} is {value!r}. Use a path that starts with a slash, without braces."
        )
    return value


@dataclass(frozen=True)
class Variable:
    """Environment variables with one meaning, and their default, in Markdown, for the documentation."""

    names: tuple[str, ...]
    default: str
    meaning: str


# what the README and the reference list; links are relative to the README
VARIABLES = (
    Variable(
        ("WINDLASS_HOME",),
        "[the nearest `.windlass`](docs/registry.md#where-it-is) from the project's folder upward",
        "database, models, ledgers, tracking and counters; made private to its owner (0700, files 0600)",
    ),
    Variable(
        ("WINDLASS_DATABASE_URL",),
        "SQLite in the home folder",
        "`postgresql+psycopg://user:password@host/name`, with `windlass-ml[postgres]`",
    ),
    Variable(
        ("WINDLASS_STORE_URL",),
        "the home folder",
        "where bundles are stored: `s3://bucket/prefix`, `gs://…`, `az://…`",
    ),
    Variable(
        ("AWS_ALLOW_HTTP", "AZURE_ALLOW_HTTP", "GOOGLE_ALLOW_HTTP"),
        "`false`",
        "`true` allows a store without TLS on another machine",
    ),
    Variable(
        ("WINDLASS_ONLINE_URL",),
        "SQLite in the home folder",
        "[online store](docs/online.md) of features: `redis://host:6379/0`, with `windlass-ml[redis]`, or PostgreSQL as"
        " above",
    ),
    Variable(("WINDLASS_AUTH",), "`off`", "`required`: every client needs a key"),
    Variable(
        ("WINDLASS_ALLOW_HOST",),
        "loopback hosts",
        "hosts that a server [without keys](docs/keys.md#without-keys) answers as well, separated by commas; `*` for"
        " any",
    ),
    Variable(
        ("WINDLASS_DIGEST",),
        "any",
        "digests of the bundles that may be served by path, as `--digest`",
    ),
    Variable(
        ("WINDLASS_ALLOW_PICKLE",), "`off`", "`on` unpickles bundles by path, as `--allow-pickle`"
    ),
    Variable(
        ("WINDLASS_SIGNING_KEY",),
        "none",
        "file of the private key that signs bundles, with `windlass-ml[signing]`",
    ),
    Variable(
        ("WINDLASS_VERIFY_KEY",),
        "none",
        "file of the public key that must have [signed](docs/serving.md#trusting-a-bundle) every bundle that is served",
    ),
    Variable(
        ("WINDLASS_API_KEYS",),
        "",
        "keys without a database: `name:role:key`, separated by commas",
    ),
    Variable(
        ("WINDLASS_KEY",),
        "none",
        "the key of the [actor](docs/keys.md#on-the-command-line) of `approve`, `reject` and `rollback`",
    ),
    Variable(
        ("WINDLASS_RATE_LIMIT",), "`off`", "requests a minute, for keys without a rate of their own"
    ),
    Variable(
        ("WINDLASS_LOG_LEVEL",),
        "`INFO`",
        "`DEBUG`, `INFO`, `WARNING` or `ERROR`; request lines are `INFO`",
    ),
    Variable(
        ("WINDLASS_MAX_BODY_MB",),
        "`64`",
        "maximum size of a body, also after `Content-Encoding: gzip` or `deflate` is decoded; a larger one is refused"
        " before it is read completely. A single row may have 64 KiB, or what its declaration can need",
    ),
    Variable(("WINDLASS_LEDGER",), "`on`", "`off` writes no ledger"),
    Variable(
        ("WINDLASS_LEDGER_MAX_DAYS", "WINDLASS_LEDGER_MAX_MB"),
        "`off`",
        "[retention](docs/ledger.md#retention) of each project's ledger, by age and by size",
    ),
    Variable(("MLFLOW_TRACKING_URI",), "SQLite in the home folder", "another MLflow store"),
    Variable(
        ("AIP_HTTP_PORT", "AIP_HEALTH_ROUTE", "AIP_PREDICT_ROUTE"),
        "",
        "Vertex AI's container contract",
    ),
)
