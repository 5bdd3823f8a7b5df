"""Progress of long work: the callback that receives it, and bars for a terminal and for a notebook."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from threading import get_ident
from time import monotonic

ProgressCallback = Callable[[float, str], None]  # (share done 0..1, what is being done)
Progress = bool | ProgressCallback  # whether to show it, or what receives it
_REDRAW_SECONDS = 0.1


def ignore_progress(share: float, message: str) -> None:
    """Progress callback that does nothing."""


@contextmanager
def show_progress(progress: Progress) -> Iterator[ProgressCallback]:
    """Yields a callback that shows progress: a bar in a notebook or on a terminal, nothing elsewhere or if False.

    A function is called itself.
    """
    if callable(progress):
        yield progress
    elif not progress:
        yield ignore_progress
    elif in_notebook():
        with notebook_bar() as report:
            yield report
    elif sys.stderr is not None and sys.stderr.isatty():
        with terminal_bar() as report:
            yield report
    else:
        yield ignore_progress


def in_notebook() -> bool:
    """Whether this code runs in a notebook: in a shell of IPython that has a kernel."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


@contextmanager
def terminal_bar() -> Iterator[ProgressCallback]:
    """Yields a callback that draws a bar on standard error, which disappears at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(20), TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn())
    text = TextColumn("{task.description}", markup=False)
    console = Console(stderr=True, force_jupyter=False)
    with Bar(*columns, text, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share, message: bar.update(task, completed=share, description=message)


@contextmanager
def notebook_bar(clock: Callable[[], float] = monotonic) -> Iterator[ProgressCallback]:
    """Yields a callback that draws a bar in the output of a notebook's cell, in plain HTML, without ipywidgets.

    The bar stays, with the time that the work took. Only the thread that runs the cell draws: output of another one
    could end up in another cell. Elsewhere the newest progress is drawn with the next call from that thread.
    """
    bar = _NotebookBar(clock)
    try:
        yield bar.report
    except BaseException:
        bar.finish("stopped")
        raise
    bar.finish("done")


class _NotebookBar:
    """Bar in the output of a cell: one display that is updated in place."""

    def __init__(self, clock: Callable[[], float]) -> None:
        from IPython.display import display  # type: ignore[import-not-found]  # there is a shell of it

        self._clock = clock
        self._thread = get_ident()
        self._started = self._drawn = clock()
        self._share, self._message = 0.0, ""
        self._handle = display(self._bundle(), raw=True, display_id=True)

    def report(self, share: float, message: str) -> None:
        self._share, self._message = share, message
        now = self._clock()
        if get_ident() == self._thread and (now - self._drawn >= _REDRAW_SECONDS or share >= 1):
            self._drawn = now
            self._draw()

    def finish(self, outcome: str) -> None:
        if outcome == "done":
            self._share = 1.0
        self._message = f"{outcome} after {self._clock() - self._started:.1f} s"
        self._draw()

    def _draw(self) -> None:
        if self._handle is not None:
            self._handle.update(self._bundle(), raw=True)

    def _bundle(self) -> dict[str, str]:
        text = f"{self._share:4.0%} {self._message}"
        share = f"{min(max(self._share, 0.0), 1.0):.3f}"
        html = f'<progress value="{share}" max="1" style="width: 20em"></progress> {escape(text)}'
        return {"text/html": html, "text/plain": text}
