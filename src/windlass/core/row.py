"""Rows as pydantic models, as a project declares them, and their translation to a RowSchema."""

import types
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from enum import Enum
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from windlass.core.csv_format import DEFAULT_CSV, CsvFormat
from windlass.core.hashing import canonical_json
from windlass.core.row_schema import SURROUNDING_SPACES, ColumnKind, ColumnSchema, RowSchema
from windlass.core.row_validator import RowValidator
from windlass.core.timestamps import to_utc
from windlass.errors import ProjectError, RowsError

_KINDS: dict[object, ColumnKind] = {
    float: ColumnKind.NUMBER,
    int: ColumnKind.INTEGER,
    bool: ColumnKind.BOOLEAN,
    date: ColumnKind.DATE,
    datetime: ColumnKind.DATETIME,
    str: ColumnKind.CATEGORY,
}
_CONSTRAINTS = frozenset({"ge", "gt", "le", "lt", "multiple_of", "max_length"})
_BOUNDED = (
    ColumnKind.NUMBER,
    ColumnKind.INTEGER,
    ColumnKind.DATE,
    ColumnKind.DATETIME,
    ColumnKind.VECTOR,
)


class Row(BaseModel):
    """Base of a project's row, the input of one prediction.

    Fields are float, int, bool, date, datetime, str, Literal, an Enum of strings, or list[float] of a fixed length;
    `| None` allows null.

    `class Customer(Row, missing=("NA", "?"), csv=CsvFormat(delimiter=";"))` declares how all readers take cells: which
    texts stand for a missing value, beside the empty cell of CSV, and how CSV is written. Both are part of the schema
    that a bundle holds. A subclass has those of its base, unless it declares its own.
    Raises ProjectError for markers that are no texts, and for another format.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    _missing: ClassVar[tuple[str, ...]] = ()
    _csv: ClassVar[CsvFormat] = DEFAULT_CSV

    def __init_subclass__(
        cls,
        missing: Iterable[str] | None = None,
        csv: CsvFormat | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        if missing is not None:
            cls._missing = _markers(cls.__name__, missing)
        if csv is not None:
            if not isinstance(csv, CsvFormat):
                raise ProjectError(
                    f"Row {cls.__name__}: csv is a windlass.CsvFormat(…), not {csv!r}."
                )
            cls._csv = csv

    @classmethod
    def __pydantic_init_subclass__(
        cls,
        missing: Iterable[str] | None = None,
        csv: CsvFormat | None = None,
        **kwargs: Any,
    ) -> None:
        """Removes `missing` and `csv` from the class keywords, which pydantic would pass to its own config."""


def _markers(row: str, missing: Iterable[str]) -> tuple[str, ...]:
    """Returns the distinct markers. Raises ProjectError where they are no texts."""
    texts = () if isinstance(missing, str) else tuple(missing)
    if isinstance(missing, str) or not all(isinstance(text, str) for text in texts):
        raise ProjectError(
            f'Row {row}: missing is a list of texts, such as missing=["NA", "?"], not {missing!r}.'
        )
    return tuple(dict.fromkeys(texts))


def column(  # noqa: PLR0913 - every argument is a keyword that the user reads in a declaration
    description: str,
    *,
    alias: str | None = None,
    utc: bool = False,
    strip: bool = False,
    length: int | None = None,
    unit: str | None = None,
    example: Any = None,
    default: Any = PydanticUndefined,
    **constraints: Any,
) -> Any:
    """Describes a field of a row.

    `alias` is the name of the column where Python does not allow it for a field, such as "Total Charges" or
    "class": data, requests and answers then use it, and it alone. With `utc`, a datetime without an offset is of
    UTC. With `strip`, spaces around text are not part of it. `length` is that of a list[float], whose numbers
    the bounds are for. `unit` is free text ("cm", "EUR/year").
    `constraints` are pydantic's: `ge`, `gt`, `le`, `lt`, `multiple_of`, `max_length`. A request can omit a field
    with a `default`. Raises ProjectError for another argument.
    """
    _require_column_name(f"column({description!r}, …)", alias)
    extra = {"unit": unit, "example": example, "utc": utc or None, "strip": strip or None}
    for name in constraints.keys() - _CONSTRAINTS:
        raise ProjectError(
            f"column({description!r}, …) has no argument {name!r}. There are: description, alias, utc, strip,"
            f" length, unit, example, default, {', '.join(sorted(_CONSTRAINTS))}."
        )
    if length is not None:  # pydantic knows no bounds of a list's numbers
        extra |= {"length": length, "bounds": constraints}
        constraints = {"min_length": length, "max_length": length}
    return Field(
        default,
        alias=alias,
        description=description,
        json_schema_extra={key: value for key, value in extra.items() if value is not None},
        **constraints,
    )


def read_row(row: type[BaseModel]) -> RowSchema:
    """Reads the schema of a row class.

    Raises ProjectError for what a bundle cannot store: nested models, lists, validators written in Python.
    """
    _reject_python_validators(row)
    columns = tuple(_column(row, name, field) for name, field in row.model_fields.items())
    if not columns:
        raise ProjectError(
            f"Row {row.__name__} has no fields. Declare one for each input of the model."
        )
    _require_different_names(row, columns)
    _require_different_elements(row, columns)
    description = row.__doc__.strip() if row.__doc__ and row.__doc__ != Row.__doc__ else None
    return RowSchema(
        title=row.__name__,
        description=description,
        columns=columns,
        missing=getattr(row, "_missing", ()),
        csv=getattr(row, "_csv", DEFAULT_CSV),
    )


def _reject_python_validators(row: type[BaseModel]) -> None:
    decorators = row.__pydantic_decorators__
    for kind in ("validators", "field_validators", "root_validators", "model_validators"):
        for name in getattr(decorators, kind):
            raise ProjectError(
                f"Row {row.__name__} has the validator {name!r}, which is Python code and cannot be sealed"
                " in a bundle. Use constraints (ge, le, Literal, …) instead."
            )


def _require_different_names(row: type[BaseModel], columns: Sequence[ColumnSchema]) -> None:
    for name, count in Counter(column.name for column in columns).items():
        if count > 1:
            fields = ", ".join(column.field or name for column in columns if column.name == name)
            raise ProjectError(
                f"Row {row.__name__} has {count} fields of the column {name!r}: {fields}. Give each column one field."
            )


def _require_different_elements(row: type[BaseModel], columns: Sequence[ColumnSchema]) -> None:
    """Raises ProjectError where a column has the name that the model knows a number of a vector by."""
    names = Counter(element.name for column in columns for element in column.model_columns)
    for name, count in names.items():
        if count > 1:
            raise ProjectError(
                f"Row {row.__name__}: the model would see {name!r} twice, as a column and as a number of a list."
                " Call one of the fields something else."
            )


def _column_name(location: str, name: str, field: FieldInfo) -> str:
    """Returns the alias of a field, or its own name. Raises ProjectError where it cannot name a column."""
    alias = field.alias
    if field.validation_alias not in (None, alias) or field.serialization_alias not in (
        None,
        alias,
    ):
        raise ProjectError(
            f"{location} has another alias for validation or serialization. A column has one name: use"
            f' column("…", alias="…").'
        )
    _require_column_name(location, alias)
    return name if alias is None else alias


def _require_column_name(location: str, alias: str | None) -> None:
    """Raises ProjectError for an alias that is empty, or that UTF-8 or a database cannot hold."""
    if alias == "" or any(char == "\0" or "\ud800" <= char <= "\udfff" for char in alias or ""):
        raise ProjectError(
            f"{location} has the alias {alias!r}, which cannot name a column. Use text that is not empty."
        )


def _column(row: type[BaseModel], name: str, field: FieldInfo) -> ColumnSchema:
    location = f"{row.__name__}.{name}"
    column_name = _column_name(location, name, field)
    annotation, nullable = _without_none(field.annotation)
    kind, categories = _kind(location, annotation)
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    if (kind is ColumnKind.VECTOR) != ("length" in extra):
        raise ProjectError(
            f"{location} is a list without a length. Give it one: column(…, length=8)."
            if kind is ColumnKind.VECTOR
            else f"{location} is a {kind} and has no length. Leave it out."
        )
    default = None if field.is_required() else field.get_default(call_default_factory=False)
    if default is None and not field.is_required() and not nullable:
        raise ProjectError(f"{location} has no usable default. Give a plain value, or allow None.")
    declared = ColumnSchema(
        name=column_name,
        field=None if column_name == name else name,
        kind=kind,
        nullable=nullable,
        required=field.is_required(),
        utc=extra.get("utc", False),  # type: ignore[arg-type]
        strip=extra.get("strip", False),  # type: ignore[arg-type]
        length=extra.get("length"),  # type: ignore[arg-type]
        default=_json_value(default),
        description=field.description,
        unit=extra.get("unit"),  # type: ignore[arg-type]  # JSON at large; pydantic checks it
        example=_json_value(extra.get("example")),
        categories=categories,
        **_constraints(location, field, kind),
    )
    declared = _normalised(location, declared)
    _check_consistency(location, declared)
    return declared


def _normalised(location: str, column: ColumnSchema) -> ColumnSchema:
    """Returns a column whose bounds, default and example are as a request's values become.

    Raises ProjectError for a bound without an offset from UTC.
    """
    changes: dict[str, Any] = {}
    if column.kind is ColumnKind.DATETIME:
        for keyword in ("ge", "gt", "le", "lt"):
            limit = getattr(column, keyword)
            if isinstance(limit, date):
                changes[keyword] = _utc_limit(f"{location}: its {keyword}", limit, column)
    if column.strip:
        changes |= {
            name: value.strip(SURROUNDING_SPACES)
            for name in ("default", "example")
            if isinstance(value := getattr(column, name), str)
        }
    return column.model_copy(update=changes)


def _utc_limit(what: str, limit: date, column: ColumnSchema) -> datetime:
    try:
        is_day = not isinstance(limit, datetime)
        return to_utc(limit, utc=column.utc or is_day)
    except ValueError:
        raise ProjectError(
            f"{what}, {limit!r}, has no offset from UTC. Add tzinfo=datetime.UTC, or declare utc=True."
        ) from None


def _check_consistency(location: str, column: ColumnSchema) -> None:
    """Rejects constraints that do not apply to the column's kind, and an invalid example or default."""
    inapplicable = _inapplicable_arguments(column)
    if inapplicable:
        raise ProjectError(
            f"{location} is a {column.kind} and has no {', '.join(inapplicable)}. Leave it out."
        )
    for category in column.categories or ():
        if column.strip and category != category.strip(SURROUNDING_SPACES):
            raise ProjectError(
                f"{location}: the category {category!r} has spaces around it, which strip=True removes from"
                " every value. Write it without them."
            )
    validator = RowValidator(RowSchema.from_columns(location, column))
    for what, value in (("example", column.example), ("default", column.default)):
        if value is None:
            continue
        try:
            validator.parse_row(canonical_json({column.name: value}))
        except RowsError as error:
            raise ProjectError(
                f"{location}: its {what}, {value!r}, does not fit it. {error.faults[0]['msg']}."
            ) from error


def _inapplicable_arguments(column: ColumnSchema) -> list[str]:
    inapplicable = [keyword for keyword, _ in column.bounds() if column.kind not in _BOUNDED]
    if column.multiple_of is not None and column.kind not in (
        ColumnKind.NUMBER,
        ColumnKind.INTEGER,
    ):
        inapplicable.append("multiple_of")
    if column.max_length is not None and (not column.is_text or column.categories is not None):
        inapplicable.append("max_length")
    if column.utc and column.kind is not ColumnKind.DATETIME:
        inapplicable.append("utc")
    if column.strip and not column.is_text:
        inapplicable.append("strip")
    return inapplicable


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not types.NoneType]
        if len(members) == 1:
            return members[0], True
    return annotation, False


def _kind(location: str, annotation: Any) -> tuple[ColumnKind, tuple[str, ...] | None]:
    if get_origin(annotation) is Literal:
        return ColumnKind.CATEGORY, _categories(location, get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ColumnKind.CATEGORY, _categories(location, [member.value for member in annotation])
    if annotation == list[float]:
        return ColumnKind.VECTOR, None
    if annotation in _KINDS:
        return _KINDS[annotation], None
    raise ProjectError(
        f"{location} is {annotation!r}, which a row cannot hold."
        " Use float, int, bool, datetime.date, datetime.datetime, str, Literal[...], an Enum of strings or"
        " list[float], or any of them with | None."
    )


def _categories(location: str, values: Any) -> tuple[str, ...]:
    if not all(isinstance(value, str) and value for value in values):
        raise ProjectError(
            f"{location}: categories are non-empty strings. For numbers use int with ge and le."
        )
    return tuple(values)


def _constraints(location: str, field: FieldInfo, kind: ColumnKind) -> dict[str, Any]:
    constraints: dict[str, Any] = {}
    if kind is ColumnKind.VECTOR:
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        return dict(extra.get("bounds", {}))  # type: ignore[arg-type]
    for item in field.metadata:
        match item:
            case annotated_types.Ge(ge):
                constraints["ge"] = ge
            case annotated_types.Gt(gt):
                constraints["gt"] = gt
            case annotated_types.Le(le):
                constraints["le"] = le
            case annotated_types.Lt(lt):
                constraints["lt"] = lt
            case annotated_types.MultipleOf(multiple_of):
                constraints["multiple_of"] = multiple_of
            case annotated_types.MaxLen(max_length):
                constraints["max_length"] = max_length
            case _ if _is_always_on(item):
                pass
            case _:
                raise ProjectError(
                    f"{location} has the constraint {item!r}, which cannot be sealed."
                    " Use ge, gt, le, lt, multiple_of or max_length."
                )
    return constraints


def _is_always_on(item: object) -> bool:
    """Whether a marker of pydantic only requires what all rows require: strict types, finite numbers."""
    settings = getattr(item, "__dict__", {})
    return bool(settings) and settings.items() <= {"strict": True, "allow_inf_nan": False}.items()


def _json_value(value: Any) -> Any:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, list):
        return tuple(value)
    return value.isoformat() if isinstance(value, date) else value
