"""Reads a view's Pandera contract: column types, checks that quarantine a row, and checks that only warn."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import polars as pl

from windlass.core.entity_ids import IdType
from windlass.core.error_descriptions import describe_error, missing_extra
from windlass.core.feature_view import FeatureView
from windlass.errors import FeatureError, ProjectError
from windlass.features.offline.parts import RESERVED_PREFIX


@dataclass(frozen=True)
class WarningCheck:
    """Check of a column, or of whole rows (`column` is None), whose failures are only counted."""

    column: str | None
    check: Any

    def reason(self) -> str:
        """The check's name, behind its column's."""
        name = str(self.check.error or self.check.name)
        return name if self.column is None else f"{self.column}: {name}"

    def count(self, frame: pl.DataFrame) -> int:
        """Counts the rows that fail it. Raises FeatureError where the check itself raises."""
        try:
            passed: pl.DataFrame = self.check(frame.lazy(), self.column).check_output.collect()
        except Exception as error:
            raise FeatureError(
                f"The check {self.reason()!r} of the contract failed: {describe_error(error)}. Correct it."
            ) from error
        return int((~passed.to_series()).sum())


@dataclass(frozen=True)
class Contract:
    """Contract of raw rows. `dtypes` has a type for every column, `optional` the columns that may be missing.

    `id_types` has the type of every column of the entity, in order, and then that of the event id. `stored_dtypes` are
    the types in a snapshot: a timestamp with a time of day is there in UTC, without a time zone.
    `schema` is the Pandera schema whose checks quarantine a row. `warnings` are the checks declared with
    `raise_warning=True`: their failures are counted, and the row passes. `constant_columns` are those declared with
    `metadata={"constant": True}`: an entity should have one value of each; several are reported as a warning.
    """

    dtypes: Mapping[str, pl.DataType]
    optional: frozenset[str]
    schema: Any
    warnings: tuple[WarningCheck, ...]
    constant_columns: tuple[str, ...]
    timestamp: str
    id_types: Mapping[str, IdType]
    stored_dtypes: Mapping[str, pl.DataType]

    @property
    def order(self) -> tuple[str, ...]:
        """The columns of the entity, the timestamp and the event id, as `Snapshot.order` has them."""
        *entity, event_id = self.id_types
        return (*entity, self.timestamp, event_id)

    @property
    def entity_types(self) -> tuple[IdType, ...]:
        """The types of the entity's columns, in order."""
        return tuple(self.id_types.values())[:-1]

    @staticmethod
    def from_view(view: FeatureView) -> "Contract":
        """Reads the contract of a view. Raises ProjectError where it is not a valid one."""
        with suppress_warnings():
            schema = _pandera_schema(view)
            dtypes = {name: _dtype(view, name, column) for name, column in schema.columns.items()}
            optional = frozenset(
                name for name, column in schema.columns.items() if not column.required
            )
            _check_columns(view, dtypes, optional)
            return Contract(
                dtypes,
                optional,
                _quarantine_schema(schema, view),
                tuple(_warning_checks(schema)),
                _constant_columns(schema),
                view.timestamp,
                _id_types(view, schema),
                _stored_dtypes(view, dtypes),
            )

    def missing_columns(self, columns: tuple[str, ...]) -> list[str]:
        """Returns the required columns that are not among `columns`."""
        return [name for name in self.dtypes if name not in self.optional and name not in columns]


@contextmanager
def suppress_warnings() -> Iterator[None]:
    """Ignores warnings: Pandera imports whatever is installed, and some of that warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _pandera_schema(view: FeatureView) -> Any:
    try:
        declared = view.contract()
    except ImportError as error:
        raise FeatureError(
            f"The contract of view {view.name} cannot be read: {missing_extra(error) or error}."
        ) from error
    except Exception as error:
        raise ProjectError(
            f"The contract of view {view.name} failed: {describe_error(error)}."
        ) from error
    schema = declared.to_schema() if hasattr(declared, "to_schema") else declared
    if type(schema).__module__ != "pandera.api.polars.container":
        raise ProjectError(
            f"The contract of view {view.name} is a {type(declared).__name__}. Return a pandera.polars.DataFrameSchema."
        )
    return schema


def _dtype(view: FeatureView, name: str, column: Any) -> pl.DataType:
    if column.dtype is None:
        raise ProjectError(
            f"The contract of view {view.name} gives column {name} no type. Give it one, such as pl.Int64."
        )
    kind = column.dtype.type
    dtype: pl.DataType = kind() if isinstance(kind, type) else kind
    return dtype


def _check_columns(
    view: FeatureView, dtypes: Mapping[str, pl.DataType], optional: frozenset[str]
) -> None:
    reserved = [name for name in dtypes if name.startswith(RESERVED_PREFIX)]
    if reserved:
        raise ProjectError(
            f"The contract of view {view.name} has a column {reserved[0]}, and names that begin with {RESERVED_PREFIX}"
            " are Windlass's own. Rename the column."
        )
    ids = dict.fromkeys((*view.entity_columns, view.event_id), (pl.Int64, pl.String))
    for name, kinds in {**ids, view.timestamp: (pl.Date, pl.Datetime)}.items():
        if name not in dtypes or dtypes[name].base_type() not in kinds or name in optional:
            raise ProjectError(
                f"The contract of view {view.name} needs a required column {name} of type"
                f" {' or '.join(map(str, kinds))}."
            )


def _id_types(view: FeatureView, schema: Any) -> dict[str, IdType]:
    """Returns the types of the ids; a UUID is a column of text that is declared with `metadata={"uuid": True}`."""
    types: dict[str, IdType] = {}
    for name in (*view.entity_columns, view.event_id):
        column = schema.columns[name]
        is_uuid = bool((column.metadata or {}).get("uuid"))
        is_integer = _dtype(view, name, column) == pl.Int64
        if is_uuid and is_integer:
            raise ProjectError(
                f"The contract of view {view.name} says that column {name} holds UUIDs, and gives it the type Int64."
                " Give it the type pl.String."
            )
        types[name] = "integer" if is_integer else "uuid" if is_uuid else "text"
    return types


def _stored_dtypes(
    view: FeatureView, dtypes: Mapping[str, pl.DataType]
) -> Mapping[str, pl.DataType]:
    if dtypes[view.timestamp] == pl.Date:
        return dtypes
    return {**dtypes, view.timestamp: pl.Datetime("us")}


def _quarantine_schema(schema: Any, view: FeatureView) -> Any:
    """Returns the schema without warning checks. Missing columns and duplicate keys are looked for elsewhere."""
    strict = deepcopy(schema)
    strict.checks = _select_checks(strict.checks, warning=False)
    strict.unique = None
    strict.strict = False
    for name, column in strict.columns.items():
        column.checks = _select_checks(column.checks, warning=False)
        column.unique = False
        column.required = False
        column.nullable = column.nullable and name not in (*view.entity_columns, *view.order)
    return strict


def _warning_checks(schema: Any) -> Iterator[WarningCheck]:
    for name, column in schema.columns.items():
        yield from (
            WarningCheck(name, check) for check in _select_checks(column.checks, warning=True)
        )
    yield from (WarningCheck(None, check) for check in _select_checks(schema.checks, warning=True))


def _constant_columns(schema: Any) -> tuple[str, ...]:
    columns = schema.columns.items()
    return tuple(name for name, column in columns if (column.metadata or {}).get("constant"))


def _select_checks(checks: Any, *, warning: bool) -> list[Any]:
    return [check for check in checks or [] if check.raise_warning is warning]
