"""Writes the fields of a row in Python: their names, types, ranges and examples."""

import keyword
import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from windlass.core.row import Row
from windlass.core.row_schema import MAX_INTEGER
from windlass.scaffold.column_profile import ColumnProfile, ColumnType
from windlass.scaffold.text_forms import find_words

LINE = 96  # characters of a line of a project
_MARGIN = 0.5  # of the span of the values, added to both ends of the range
# names that pydantic uses itself, and those that the class of the row needs
_NO_FIELDS = frozenset(
    {*dir(Row), "model_config", "bool", "column", "dt", "float", "int", "str", "Literal"}
)
_HUGE = 1e300  # numbers beyond this have no margin
_LONGEST = 50  # characters of a name that is snake
_DIGIT = re.compile(r"^[0-9]")
_PYTHON_TYPES = {
    ColumnType.NUMBER: "float",
    ColumnType.INTEGER: "int",
    ColumnType.BOOLEAN: "bool",
    ColumnType.DATE: "dt.date",
    ColumnType.TIMESTAMP: "dt.datetime",
    ColumnType.TEXT: "str",
}


@dataclass(frozen=True)
class RowField:
    """Field of a row: its name in Python, and the name of its column where Python does not allow that."""

    name: str
    alias: str | None
    column: ColumnProfile

    def source(self) -> str:
        """Returns the field as it stands in the class of the row."""
        annotation = python_type(self.column)
        if self.column.is_nullable:
            annotation += " | None"
        arguments = [quote(find_words(self.column.name) or "A column without a name")]
        if self.alias is not None:
            arguments.append(f"alias={quote(self.alias)}")
        arguments += [f"{key}={value}" for key, value in _keywords(self.column).items()]
        line = f"    {self.name}: {annotation} = column({', '.join(arguments)})"
        if len(line) <= LINE:
            return line
        head = f"    {self.name}: {annotation} = column("
        if len(head) > LINE:
            types = annotation.removeprefix("Literal[").rpartition("]")
            values = list(map(quote, self.column.categories or ()))
            head = "\n".join(
                [f"    {self.name}: Literal[", *break_list(values, 8), f"    ]{types[2]} = column("]
            )
        last = head.rpartition("\n")[2] + f"{', '.join(arguments)})"
        if len(last) <= LINE:
            return head + f"{', '.join(arguments)})"
        return "\n".join([head, *break_list(arguments, 8), "    )"])


def break_list(items: Iterable[str], indent: int) -> list[str]:
    """Return what stands between brackets in lines of its own: one line where it fits, else one for each item."""
    items = list(items)
    line = " " * indent + ", ".join(items)
    return [line] if len(line) <= LINE else [f"{' ' * indent}{item}," for item in items]


def name_fields(columns: Iterable[ColumnProfile]) -> tuple[RowField, ...]:
    """Return a field for each column; a name that Python or pydantic does not allow is an alias of another."""
    columns = tuple(columns)
    taken = {column.name for column in columns if is_field_name(column.name)}
    fields = []
    for column in columns:
        if is_field_name(column.name):
            fields.append(RowField(column.name, None, column))
            continue
        base = name = _make_name(column.name)
        number = 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        taken.add(name)
        fields.append(RowField(name, column.name, column))
    return tuple(fields)


def is_field_name(name: str) -> bool:
    """Whether pydantic takes a name for a field as it is, and Python does not read it as another."""
    return (
        name.isidentifier()
        and not keyword.iskeyword(name)
        and unicodedata.normalize("NFKC", name) == name
        and not name.startswith(("_", "model_dump", "model_validate"))
        and name not in _NO_FIELDS
        and len(name) <= _LONGEST + len("column_")
    )


def python_type(column: ColumnProfile) -> str:
    """Return the type of a column in Python, without `| None`."""
    if column.type is ColumnType.CATEGORY:
        return f"Literal[{', '.join(map(quote, column.categories or ()))}]"
    return _PYTHON_TYPES[column.type]


def quote(text: str) -> str:
    """Return a text as Python source, in double quotes."""
    single = repr(text)
    if single.startswith('"'):
        return single
    return '"' + single[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'


def widen(low: float, high: float, *, whole: bool) -> tuple[float, float]:
    """Return a range in round numbers with a margin of half the span at both ends; it does not change the sign."""
    margin = min(_MARGIN * (high - low) or max(abs(high), 1.0) * _MARGIN, _HUGE)
    step = _step(margin, whole=whole)
    lowest = math.floor(max(low - margin, -_HUGE) / step) * step if low > -_HUGE else low
    highest = math.ceil(min(high + margin, _HUGE) / step) * step if high < _HUGE else high
    if low >= 0 > lowest:
        lowest = 0
    if high <= 0 < highest:
        highest = 0
    if whole:
        return max(lowest, -MAX_INTEGER), min(highest, MAX_INTEGER)
    return _round(lowest, step), _round(highest, step)


def _step(margin: float, *, whole: bool) -> float:
    """A round number, about a tenth of the margin."""
    step = 10.0 ** (math.floor(math.log10(margin)) - 1)
    return max(step, 1.0) if whole else step


def _round(value: float, step: float) -> float:
    digits = max(0, -math.floor(math.log10(step)))
    return round(value, digits)


def _widen_dates(low: str, high: str) -> tuple[date, date]:
    """The first and last day of years, with the span of the dates and ten years as a margin."""
    first, last = int(low[:4]), int(high[:4])
    margin = max(last - first, 10)
    return date(max(first - margin, 1), 1, 1), date(min(last + margin, 9999), 12, 31)


def _keywords(column: ColumnProfile) -> dict[str, str]:
    words: dict[str, str] = {}
    if column.unit is not None:
        words["unit"] = quote(column.unit)
    if column.is_nullable:
        words["default"] = "None"
    if isinstance(column.low, float) and isinstance(column.high, float):
        whole = column.type is ColumnType.INTEGER
        low, high = widen(column.low, column.high, whole=whole)
        words |= {"ge": _number(low), "le": _number(high)}
    elif column.type is ColumnType.DATE and column.low is not None:
        first, last = _widen_dates(str(column.low), str(column.high))
        words |= {"ge": _date(first), "le": _date(last)}
    elif column.type is ColumnType.TIMESTAMP and column.utc:
        words["utc"] = "True"
    if (
        column.type is not ColumnType.BOOLEAN
        and column.example is not None
        and not column.categories
    ):
        words["example"] = _example(column)
    if column.strip and column.type in (ColumnType.TEXT, ColumnType.CATEGORY):
        words["strip"] = "True"
    if column.max_length is not None:
        words["max_length"] = str(column.max_length)
    return words


def _number(value: float) -> str:
    if value != int(value) or abs(value) > MAX_INTEGER:
        return repr(value)
    return f"{int(value):_}" if abs(value) >= 10_000 else str(int(value))


def _example(column: ColumnProfile) -> str:
    """A value of the column: of numbers the middle one, of texts the most frequent one."""
    if column.type in (ColumnType.NUMBER, ColumnType.INTEGER):
        return _number(column.example)
    if column.type is ColumnType.DATE:
        return _date(date.fromisoformat(column.example))
    return quote(column.example)


def _date(value: date) -> str:
    return f"dt.date({value.year}, {value.month}, {value.day})"


def _make_name(name: str) -> str:
    """A name in lower case with underscores."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.findall(r"[A-Za-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", plain))
    snake = "_".join(words).lower() or "column"
    if _DIGIT.match(snake):
        snake = f"column_{snake}"
    snake = snake[:_LONGEST].rstrip("_") or "column"
    candidates = (snake, f"{snake}_", f"column_{snake}")
    return next(filter(is_field_name, candidates))


def describe_values(column: ColumnProfile) -> str:
    """Return the values that a column may hold, as a reader of a table takes them in."""
    if column.categories is not None:
        return ", ".join(column.categories)
    if isinstance(column.low, float):
        bounds = _keywords(column)
        return f"{bounds['ge']} to {bounds['le']} (seen: {column.low:g} to {column.high:g})"
    if column.low is not None:
        return f"seen: {column.low} to {column.high}"
    if column.type is ColumnType.TEXT:
        return f"{column.distinct:,} seen, such as {column.example}"
    return ""
