"""`windlass serve`: bundles or projects over HTTP."""

import ipaddress
import logging
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from windlass.auth.env_keys import parse_environment_keys
from windlass.cli.banner import banner
from windlass.cli.console import guarded, say
from windlass.cli.context import opened
from windlass.core.bundle import MANIFEST
from windlass.errors import SettingsError
from windlass.logs import set_up_logs
from windlass.serving.targets import ServiceRole
from windlass.settings import Settings
from windlass.storage.urls import pin_database

if TYPE_CHECKING:
    from windlass.serving.targets import ServeTarget
    from windlass.web.server import ListenOptions

_log = logging.getLogger(__name__)
_CONTAINER = Path("/opt/ml/model")  # where SageMaker puts a model, and our image too


def register(app: typer.Typer) -> None:
    """Attach `serve` to the application."""

    @app.command("serve")
    def serve(  # noqa: PLR0913, PLR0917 - each is an option of the command
        paths: list[Path] = typer.Argument(  # noqa: B008 - how Typer declares
            None, help="Projects, by folder or name, or bundles.", show_default="the current folder"
        ),
        host: str = typer.Option("", help="Address to listen on.", show_default="127.0.0.1"),
        port: int = typer.Option(0, min=0, max=65535, help="Port.", show_default="8000"),
        workers: int = typer.Option(1, min=1, max=256, help="Processes that share the port."),
        grace: int = typer.Option(30, min=1, help="Longest that a stop may take, in seconds."),
        insecure: bool = typer.Option(False, help="Allow a non-loopback address without keys."),
        worker: bool = typer.Option(True, help="Start a worker for trainings beside the server."),
        only: ServiceRole | None = typer.Option(  # noqa: B008 - as above
            None, help="Answer features alone, or predictions.", show_default="both"
        ),
    ) -> None:
        """Serve predictions over HTTP until stopped."""

        def action() -> None:
            settings = pin_database(Settings.read())
            served = paths or [_default()]
            platform = _platform(served, settings)
            address = host or ("0.0.0.0" if platform else "127.0.0.1")  # noqa: S104 - their contract
            _check_keys(settings)
            safe = settings.auth or insecure or _is_loopback(address)
            if not safe and platform is None:
                _refuse_open(address)
            listen = _listen(address, port or platform or 8000, workers, grace)
            trains = worker and only is not ServiceRole.FEATURES  # which has no /train
            found = _subjects(served, settings)
            if not safe:
                _refuse_open_control(found)
            _serve(found, settings, listen, only, with_worker=trains)

        raise typer.Exit(guarded(action))


def _listen(host: str, port: int, workers: int, grace: int) -> "ListenOptions":
    from windlass.web.server import ListenOptions

    return ListenOptions(host, port, workers, grace)


def _default() -> Path:
    here = Path()
    named = (here / "project.py").is_file() or (here / MANIFEST).is_file()
    return _CONTAINER if not named and _CONTAINER.is_dir() else here


def _platform(paths: list[Path], settings: Settings) -> int | None:
    """The port that Vertex AI or SageMaker asks for. Both let in only their own callers, who have no keys."""
    if settings.vertex is not None:
        return settings.vertex.port
    return 8080 if paths == [_CONTAINER] else None


def _check_keys(settings: Settings) -> None:
    """Refuse keys of the environment that are weak, or that nobody would be asked for."""
    parse_environment_keys(settings.api_keys)
    if settings.api_keys and not settings.auth:
        raise SettingsError(
            "WINDLASS_API_KEYS is set, but WINDLASS_AUTH is off, so nobody would be asked for a key."
            " Set WINDLASS_AUTH=required, or leave the keys out."
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse_open(host: str) -> NoReturn:
    """Without keys only this machine is let in unasked."""
    raise SettingsError(
        f"Anybody who reaches {host} could use the server, for no keys are asked for. Set WINDLASS_AUTH=required"
        " and make a key with `windlass keys create`, listen on 127.0.0.1, or say --insecure where something"
        " in front of it lets only the right ones in."
    )


def _refuse_open_control(served: "list[ServeTarget]") -> None:
    """A platform's callers may predict without a key. They may not train and approve: a bundle by itself cannot."""
    known = next((one.project for one in served if one.bundle is None), None)
    if known is not None:
        raise SettingsError(
            f"Whoever the platform lets in could train and approve versions of {known!r}, for no keys are asked for."
            " Serve its bundle by itself, set WINDLASS_AUTH=required, or say --insecure where all of them may."
        )


def _subjects(paths: list[Path], settings: Settings) -> "list[ServeTarget]":
    from windlass.serving.targets import subjects

    set_up_logs(settings.log_level)
    return subjects(paths, settings)


def _serve(
    served: "list[ServeTarget]",
    settings: Settings,
    listen: "ListenOptions",
    only: ServiceRole | None,
    *,
    with_worker: bool,
) -> None:
    from windlass.web.server import bind, serve

    listener = bind(listen)
    say(banner(served, settings, listen.host, listener.getsockname()[1], only))
    sys.stdout.flush()
    # a worker opens a bundle again, for the folder may hold another by the time a worker is replaced
    names = [one if one.bundle is None else one.bundle.path.absolute() for one in served]
    with _companion(served, settings) if with_worker else nullcontext():
        serve(partial(make_app, names, settings, only), listen, listener)


def _companion(served: "list[ServeTarget]", settings: Settings) -> AbstractContextManager[object]:
    """A worker for those of the registry's projects whose folder is here; none where there are none."""
    from windlass.cli.worker_process import WorkerProcess, can_train

    names = [one.project for one in served if one.bundle is None]
    if not names:
        return nullcontext()
    if not can_train():
        _log.info("no worker: training needs windlass[train]", extra={"projects": names})
        return nullcontext()

    def folders() -> list[str]:
        with opened(settings) as registry:
            found = [registry.declaration(name).folder for name in names]
        return [folder for folder in found if (Path(folder) / "project.py").is_file()]

    return WorkerProcess(folders)


def make_app(
    paths: "list[Path | ServeTarget]", settings: Settings, only: ServiceRole | None = None
) -> Any:
    """The application of one worker process, with its logs set up."""
    from windlass.app import application
    from windlass.web.server import end_with_parent

    end_with_parent()
    return application(*paths, settings=settings, logs=True, only=only)
