"""`windlass serve`: bundles or projects over HTTP."""

import ipaddress
import logging
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from windlass.auth.env_keys import parse_environment_keys
from windlass.cli.banner import banner
from windlass.cli.console import add_command, echo, fail_usage
from windlass.cli.context import AllowPickle, is_version
from windlass.core.bundle import MANIFEST
from windlass.core.error_descriptions import install_command
from windlass.errors import SettingsError
from windlass.logs import set_up_logs
from windlass.serving.targets import NamedVersion, ServeTarget, ServiceRole, resolve_targets
from windlass.settings import ANY_HOST, Settings, parse_digests, parse_hosts
from windlass.storage.urls import has_read_only_home, pin_database
from windlass.workflows.project_lookup import open_registry

if TYPE_CHECKING:
    from windlass.web.server import ListenOptions

_log = logging.getLogger(__name__)
_CONTAINER = Path("/opt/ml/model")  # where SageMaker puts a model, and our image too


def register(app: typer.Typer) -> None:
    """Adds `serve` to the application."""
    add_command(app, "serve", serve)


AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Without keys: host that requests may name beside loopback ones, * for any. Repeatable.",
    ),
]
Digest = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SHA256",
        help="Serve a bundle that is named by path only if it has this digest. Repeatable.",
    ),
]


def serve(  # noqa: PLR0913, PLR0917 - each is an option of the command
    paths: list[str] = typer.Argument(  # noqa: B008 - how Typer declares
        None,
        metavar="[PROJECT or BUNDLE] [VERSION]…",
        help="Projects, by folder or name, or bundles. A version after its project is served whatever is decided.",
        show_default="the current folder, the version in production",
    ),
    host: str = typer.Option(
        "", metavar="ADDRESS", help="Address to listen on.", show_default="127.0.0.1"
    ),
    port: int = typer.Option(
        0, min=0, max=65535, metavar="N", help="Port to listen on.", show_default="8000"
    ),
    workers: int = typer.Option(
        1, min=1, max=256, metavar="N", help="Number of server processes that share the port."
    ),
    grace: int = typer.Option(
        30, min=1, metavar="SECONDS", help="Time limit for open requests when the server stops."
    ),
    max_connections: int = typer.Option(
        1000, min=1, metavar="N", help="Number of connections of each process; more get 503."
    ),
    insecure: bool = typer.Option(
        False, help="Allow a non-loopback address without keys.", show_default=False
    ),
    allow_host: AllowHost = None,
    digest: Digest = None,
    allow_pickle: AllowPickle = False,
    worker: bool = typer.Option(
        True, help="Start a worker that runs jobs beside the server.", show_default="yes"
    ),
    only: ServiceRole | None = typer.Option(  # noqa: B008 - as above
        None, help="Serve only the feature routes, or only the predictions.", show_default="both"
    ),
) -> None:
    """Serve predictions over HTTP until stopped."""
    from windlass.web.server import ListenOptions

    requested = _split_versions(paths or [])
    folders = [path.project if isinstance(path, NamedVersion) else path for path in requested]
    read = Settings.read(near=folders)
    settings = pin_database(_with_options(read, allow_host or [], digest or [], allow_pickle))
    platform = _platform_port(requested, settings)
    address = host or ("0.0.0.0" if platform else "127.0.0.1")  # noqa: S104 - their contract
    _check_keys(settings)
    safe = settings.auth or insecure or _is_loopback(address)
    if not safe and platform is None:
        _reject_open_address(address)
    if platform is not None:  # its callers name hosts of its own
        settings = replace(settings, allowed_hosts=(ANY_HOST,))
    listen = ListenOptions(address, port or platform or 8000, workers, grace, max_connections)
    trains = worker and only is not ServiceRole.FEATURES  # which has no /train
    set_up_logs(settings.log_level)
    targets = resolve_targets(requested, settings)
    if not safe:
        _reject_open_control_plane(targets)
    _serve(targets, settings, listen, only, with_worker=trains)


def _split_versions(arguments: Sequence[str]) -> list[Path | NamedVersion]:
    """Returns the paths; one that `v2` or the like follows is the project of that version."""
    requested: list[Path | NamedVersion] = []
    for argument in arguments:
        before = requested.pop() if is_version(argument) and requested else None
        if not is_version(argument):
            requested.append(Path(argument))
        elif isinstance(before, NamedVersion):
            fail_usage(
                f"A server serves one version of each project, not {before.version} and {argument}."
            )
        else:
            requested.append(NamedVersion(before or Path(), argument))
    return requested or [_default_path()]


def _with_options(
    settings: Settings, hosts: list[str], digests: list[str], allow_pickle: bool
) -> Settings:
    """Returns the settings with what the options add to them."""
    return replace(
        settings,
        allowed_hosts=settings.allowed_hosts + parse_hosts(",".join(hosts), "--allow-host"),
        digests=settings.digests + parse_digests(",".join(digests), "--digest"),
        allow_pickle=settings.allow_pickle or allow_pickle,
    )


def _default_path() -> Path:
    here = Path()
    named = (here / "project.py").is_file() or (here / MANIFEST).is_file()
    return _CONTAINER if not named and _CONTAINER.is_dir() else here


def _platform_port(paths: Sequence[Path | NamedVersion], settings: Settings) -> int | None:
    """Returns the port that Vertex AI or SageMaker requires; both admit only their own callers, who have no keys."""
    if settings.vertex is not None:
        return settings.vertex.port
    return 8080 if paths == [_CONTAINER] else None


def _check_keys(settings: Settings) -> None:
    """Raises SettingsError for weak keys in the environment, and for keys while authentication is off."""
    parse_environment_keys(settings.api_keys)
    if settings.api_keys and not settings.auth:
        raise SettingsError(
            "WINDLASS_API_KEYS is set, but WINDLASS_AUTH is off, so no key would be required."
            " Set WINDLASS_AUTH=required, or leave the keys out."
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reject_open_address(host: str) -> NoReturn:
    """Raises SettingsError: without keys only this machine may connect."""
    raise SettingsError(
        f"Anybody who reaches {host} could use the server, for no key is required. Set WINDLASS_AUTH=required"
        " and make a key with `windlass keys create`, listen on 127.0.0.1, or pass --insecure if a proxy"
        " in front of it authenticates callers."
    )


def _reject_open_control_plane(served: list[ServeTarget]) -> None:
    """Raises SettingsError for a registered project: a platform's callers, without keys, could train it."""
    project = next((target.project for target in served if target.bundle is None), None)
    if project is not None:
        raise SettingsError(
            f"Whoever the platform lets in could train and approve versions of {project!r}, for no key is required."
            " Serve its bundle by itself, set WINDLASS_AUTH=required, or say --insecure where all of them may."
        )


def _serve(
    served: list[ServeTarget],
    settings: Settings,
    listen: "ListenOptions",
    only: ServiceRole | None,
    *,
    with_worker: bool,
) -> None:
    from windlass.web.server import bind, serve

    listener = bind(listen)
    echo(banner(served, settings, listen.host, listener.getsockname()[1], only))
    if has_read_only_home(settings):
        with_worker = False
        echo(
            f"{settings.home} is read-only: what is in production now is served until the server ends. Nothing can be"
            " decided or trained."
        )
    sys.stdout.flush()
    names = [target.source for target in served]
    with _worker_process(served, settings) if with_worker else nullcontext():
        serve(partial(make_app, names, settings, only), listen, listener)


def _worker_process(
    served: list[ServeTarget], settings: Settings
) -> AbstractContextManager[object]:
    """Returns a worker process for the registered projects whose folders are on this machine."""
    from windlass.cli.worker import WorkerProcess, is_training_installed

    names = [target.project for target in served if target.bundle is None]
    if not names:
        return nullcontext()
    if not is_training_installed():
        _log.info(
            "no worker: training is not installed",
            extra={"projects": names, "install": install_command("train")},
        )
        return nullcontext()

    def folders() -> list[str]:
        with open_registry(settings) as registry:
            declared = [registry.declaration(name).folder for name in names]
        return [folder for folder in declared if (Path(folder) / "project.py").is_file()]

    return WorkerProcess(folders, settings.home)


def make_app(
    paths: list[Path | NamedVersion | ServeTarget],
    settings: Settings,
    only: ServiceRole | None = None,
) -> Any:
    """Returns the application of one server process, with its logging set up."""
    from windlass.app import application
    from windlass.web.server import end_with_parent

    end_with_parent()
    return application(*paths, settings=settings, logs=True, only=only)
