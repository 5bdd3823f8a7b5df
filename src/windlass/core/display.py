"""How notebooks show results: tables in HTML, in which every text is escaped."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from windlass.core.gates import GateResult


class Metrics(dict[str, float]):
    """Metrics of a version by name, as training measured them on the test rows; a table in a notebook."""

    def _repr_html_(self) -> str:
        return html_table(("metric", "value"), ((name, format_number(self[name])) for name in self))


class ModelCard(str):
    """Model card of a version, in Markdown, which a notebook renders."""

    __slots__ = ()

    def _repr_markdown_(self) -> str:
        return str(self)


def html_table(
    header: Sequence[str], rows: Iterable[Sequence[object]], caption: str | None = None
) -> str:
    """Returns an HTML table of these cells, escaped, under a caption."""
    head = "".join(f"<th style='text-align:left'>{_cell(name)}</th>" for name in header)
    body = "".join(
        f"<tr>{''.join(f'<td style=text-align:left>{_cell(cell)}</td>' for cell in row)}</tr>"
        for row in rows
    )
    title = "" if caption is None else f"<caption>{_cell(caption)}</caption>"
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    return escape("" if value is None else str(value))


def format_number(value: object) -> str:
    """Formats a number with six digits at most; anything else as text."""
    return f"{value:,.6g}" if isinstance(value, int | float) else str(value)


def format_time(time: datetime) -> str:
    """Formats a time as a date and time of UTC."""
    return f"{time:%Y-%m-%d %H:%M:%S}"


def utc_time(seconds: float) -> datetime:
    """Returns the time, in UTC, that is so many seconds after the start of 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def format_gate(gate: GateResult) -> str:
    """Formats a gate and its verdict in one line."""
    return f"{gate.rule}: {gate.verdict}{f' ({gate.note})' if gate.note else ''}"


def format_values(values: Mapping[str, Any]) -> str:
    """Formats names and values in one line."""
    return ", ".join(f"{name} = {value}" for name, value in values.items())
