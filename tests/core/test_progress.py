"""Progress: a bar on a terminal, one in a notebook without ipywidgets, and nothing elsewhere."""

import io
import sys
import threading
from types import ModuleType
from typing import Any

import pytest

from windlass.core.progress import in_notebook, notebook_bar, show_progress


class Cell:
    """What a notebook would show: the display of a cell, as IPython updates it."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, str]] = []

    def display(self, bundle: dict[str, str], *, raw: bool, display_id: bool) -> "Cell":
        assert raw
        assert display_id
        self.outputs.append(bundle)
        return self

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.outputs.append(bundle)


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    """A shell with a kernel, as ipykernel has it."""
    cell = Cell()
    ipython, display = ModuleType("IPython"), ModuleType("IPython.display")
    shell: Any = type("ZMQInteractiveShell", (), {"kernel": object()})()
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]  # a module of our own
    display.display = cell.display  # type: ignore[attr-defined]  # the same
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return cell


def test_a_notebook_shows_one_bar_of_html(cell: Cell, capsys: pytest.CaptureFixture[str]) -> None:
    assert in_notebook()
    times = iter([0.0, 0.05, 1.0, 2.0])
    with notebook_bar(lambda: next(times)) as report:
        report(0.1, "too soon to draw")
        report(0.5, "half <b>way</b>")
    first, half, done = cell.outputs
    assert 'value="0.000"' in first["text/html"]
    assert 'value="0.500"' in half["text/html"]
    assert "half &lt;b&gt;way&lt;/b&gt;" in half["text/html"]
    assert half["text/plain"] == " 50% half <b>way</b>"
    assert done["text/plain"] == "100% done after 2.0 s"
    assert capsys.readouterr() == ("", "")  # no escape sequences beside it


def test_another_thread_draws_nothing(cell: Cell) -> None:
    with notebook_bar() as report:
        thread = threading.Thread(target=report, args=(1.0, "elsewhere"))
        thread.start()
        thread.join()
        assert len(cell.outputs) == 1


def test_an_error_leaves_a_stopped_bar(cell: Cell) -> None:
    def fail() -> None:
        with show_progress(progress=True) as report:
            report(0.3, "working")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert cell.outputs[-1]["text/plain"].startswith(" 30% stopped after")


def test_a_shell_without_a_kernel_is_no_notebook(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ipython = ModuleType("IPython")
    ipython.get_ipython = object  # type: ignore[attr-defined]  # a terminal's shell
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not in_notebook()
    with show_progress(progress=True) as report:
        report(0.5, "half")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]  # a terminal
    monkeypatch.setattr(sys, "stderr", stream)
    with show_progress(progress=True) as report:
        report(0.5, "half [red]way")
    assert "half [red]way" in stream.getvalue()


def test_a_function_is_called_and_false_shows_nothing() -> None:
    calls: list[tuple[float, str]] = []
    with show_progress(lambda share, message: calls.append((share, message))) as report:
        report(0.5, "half")
    with show_progress(progress=False) as report:
        report(0.6, "more")
    assert calls == [(0.5, "half")]
