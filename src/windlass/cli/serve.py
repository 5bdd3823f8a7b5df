"""`windlass serve`: bundles or projects over HTTP."""

import ipaddress
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from windlass.cli.console import guarded
from windlass.core.bundle import MANIFEST, Bundle, find_bundle
from windlass.errors import SettingsError
from windlass.logs import set_up_logs
from windlass.settings import Settings

if TYPE_CHECKING:
    from windlass.serving.server import Listen

_CONTAINER = Path("/opt/ml/model")  # where SageMaker puts a model, and our image too


def register(app: typer.Typer) -> None:
    """Attach `serve` to the application."""

    @app.command("serve")
    def serve(
        paths: list[Path] = typer.Argument(  # noqa: B008 - how Typer declares
            None, help="Bundles, or projects that hold one.", show_default="the current folder"
        ),
        host: str = typer.Option("", help="Address to listen on.", show_default="127.0.0.1"),
        port: int = typer.Option(0, min=0, max=65535, help="Port.", show_default="8000"),
        workers: int = typer.Option(1, min=1, max=256, help="Processes that share the port."),
        grace: int = typer.Option(30, min=1, help="Longest that a stop may take, in seconds."),
        insecure: bool = typer.Option(False, help="Allow a non-loopback address without keys."),
    ) -> None:
        """Serve predictions over HTTP until stopped."""

        def action() -> None:
            settings = Settings.read()
            served = paths or [_default()]
            platform = _platform(served, settings)
            address = host or ("0.0.0.0" if platform else "127.0.0.1")  # noqa: S104 - their contract
            _refuse_open(address, insecure=insecure or platform is not None)
            _serve(served, settings, _listen(address, port or platform or 8000, workers, grace))

        raise typer.Exit(guarded(action))


def _listen(host: str, port: int, workers: int, grace: int) -> "Listen":
    from windlass.serving.server import Listen

    return Listen(host, port, workers, grace)


def _default() -> Path:
    here = Path()
    named = (here / "project.py").is_file() or (here / MANIFEST).is_file()
    return _CONTAINER if not named and _CONTAINER.is_dir() else here


def _platform(paths: list[Path], settings: Settings) -> int | None:
    """The port that Vertex AI or SageMaker asks for, who both let in only their own callers."""
    if settings.vertex is not None:
        return settings.vertex.port
    return 8080 if paths == [_CONTAINER] else None


def _refuse_open(host: str, *, insecure: bool) -> None:
    """Keys come with the registry; until then only this machine is let in unasked."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback and not insecure:
        raise SettingsError(
            f"Anybody who reaches {host} could use the server, for no keys are asked for. Listen on 127.0.0.1,"
            " or say --insecure where something in front of it lets only the right ones in."
        )


def _serve(paths: list[Path], settings: Settings, listen: "Listen") -> None:
    from windlass.app import refuse_twins
    from windlass.serving.server import bind, serve

    set_up_logs(settings.log_level)
    bundles = [Bundle.open(find_bundle(path)) for path in paths]
    refuse_twins(bundles)
    listener = bind(listen)
    _say_how(bundles, listen.host, listener.getsockname()[1])
    make = partial(make_app, [bundle.path.absolute() for bundle in bundles], settings)
    serve(make, listen, listener)


def make_app(paths: list[Path], settings: Settings) -> Any:
    """The application of one worker process, with its logs set up."""
    from windlass.app import application
    from windlass.serving.server import end_with_parent

    end_with_parent()
    return application(*paths, settings=settings, logs=True)


def _say_how(bundles: list[Bundle], host: str, port: int) -> None:
    """Lines to try."""
    import json

    base = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}"  # noqa: S104
    lines = [f"Serving on {base} (stop with Ctrl+C). API documentation: {base}/docs", "Try:"]
    for bundle in bundles:
        row = json.dumps(bundle.json("golden.json")["rows"][0])
        prefix = f"/{bundle.manifest.project}" if len(bundles) > 1 else ""
        lines.append(
            f"  curl {base}{prefix}/predict -H 'Content-Type: application/json' -d '{row}'"
        )
    lines.append(f"  curl {base}/status")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
