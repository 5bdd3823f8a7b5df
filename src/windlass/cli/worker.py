"""`windlass worker`: a process that trains what is asked for."""

from pathlib import Path

import typer

from windlass.cli.console import guarded
from windlass.cli.worker_process import leave_with
from windlass.logs import set_up_logs
from windlass.settings import Settings


def register(app: typer.Typer) -> None:
    """Attach `worker` to the application."""

    @app.command("worker")
    def worker(
        projects: list[Path] = typer.Argument(  # noqa: B008 - how Typer declares
            None,
            help="Folders of the projects to train.",
            show_default="every project whose folder is here",
        ),
        parent: int = typer.Option(0, hidden=True, help="The server whose companion this is."),
    ) -> None:
        """Carry out trainings that were asked for, until stopped.

        A stop leaves a running training to the next worker, which begins from the last finished step.
        """

        def action() -> None:
            from windlass.workflows.execution.worker import work

            settings = Settings.read()
            set_up_logs(settings.log_level)
            if parent:
                leave_with(parent)
            work(settings, projects or [], must_exist=bool(parent))

        raise typer.Exit(guarded(action))
