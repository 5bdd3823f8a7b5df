"""A view's contract, read once: the types it asks for, the checks that quarantine a row, and those that only count."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import polars as pl

from windlass.core.feature_view import FeatureView
from windlass.core.project_loader import describe_error
from windlass.errors import FeatureError, ProjectError
from windlass.features.offline.parts import RESERVED_PREFIX


@dataclass(frozen=True)
class WarningCheck:
    """A check whose failures are counted only: on a column, or on whole rows."""

    column: str | None
    check: Any

    def reason(self) -> str:
        """What is odd, in words."""
        describe_error = str(self.check.error or self.check.name)
        return describe_error if self.column is None else f"{self.column}: {describe_error}"

    def count(self, frame: pl.DataFrame) -> int:
        """How many rows are so. Raises FeatureError where the check fails otherwise."""
        try:
            passed: pl.DataFrame = self.check(frame.lazy(), self.column).check_output.collect()
        except Exception as error:
            raise FeatureError(
                f"The check {self.reason()!r} of the contract failed: {describe_error(error)}. Mend it."
            ) from error
        return int((~passed.to_series()).sum())


@dataclass(frozen=True)
class Contract:
    """What a raw row has to be. `kinds` has a type for every column, `optional` those that may be absent.

    `faults` is the Pandera schema whose checks quarantine a row; `oddities` are the checks that were declared
    with `raise_warning=True`: they are counted, and the row passes. `constant` are the columns that were declared
    with `metadata={"constant": True}`: an entity has one value of them, and it is odd where it has several.
    """

    dtypes: Mapping[str, pl.DataType]
    optional: frozenset[str]
    faults: Any
    warnings: tuple[WarningCheck, ...]
    constant_columns: tuple[str, ...]

    @staticmethod
    def of(view: FeatureView) -> "Contract":
        """The contract of a view. Raises ProjectError where it is none."""
        with suppress_warnings():
            schema = _pandera_schema(view)
            dtypes = {name: _dtype(view, name, column) for name, column in schema.columns.items()}
            optional = frozenset(
                name for name, column in schema.columns.items() if not column.required
            )
            _check_columns(view, dtypes, optional)
            faults, warnings = _quarantine_schema(schema, view), tuple(_warning_checks(schema))
            return Contract(dtypes, optional, faults, warnings, _constant_columns(schema))

    def missing_columns(self, columns: tuple[str, ...]) -> list[str]:
        """The columns that a raw file of these columns lacks."""
        return [name for name in self.dtypes if name not in self.optional and name not in columns]


@contextmanager
def suppress_warnings() -> Iterator[None]:
    """Pandera imports whatever it finds installed, and some of that warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _pandera_schema(view: FeatureView) -> Any:
    try:
        declared = view.contract()
    except ImportError as error:
        raise FeatureError(
            f"The contract of view {view.name} needs {error.name}. Install Windlass with its extra `features`."
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
    made: pl.DataType = kind() if isinstance(kind, type) else kind
    return made


def _check_columns(
    view: FeatureView, dtypes: Mapping[str, pl.DataType], optional: frozenset[str]
) -> None:
    own = [name for name in dtypes if name.startswith(RESERVED_PREFIX)]
    if own:
        raise ProjectError(
            f"The contract of view {view.name} has a column {own[0]}, and names that begin with {RESERVED_PREFIX} are"
            " Windlass's own. Rename the column."
        )
    wanted = {view.entity: pl.Int64(), view.timestamp: pl.Date(), view.event_id: pl.Int64()}
    for name, kind in wanted.items():
        if dtypes.get(name) != kind or name in optional:
            raise ProjectError(
                f"The contract of view {view.name} needs a required column {name} of type {kind}."
            )


def _quarantine_schema(schema: Any, view: FeatureView) -> Any:
    """The schema without oddities. Absent columns are told before it judges, doubled keys found after it."""
    made = deepcopy(schema)
    made.checks = _select_checks(made.checks, odd=False)
    made.unique = None
    made.strict = False
    for name, column in made.columns.items():
        column.checks = _select_checks(column.checks, odd=False)
        column.unique = False
        column.required = False
        column.nullable = column.nullable and name not in (view.entity, *view.order)
    return made


def _warning_checks(schema: Any) -> Iterator[WarningCheck]:
    for name, column in schema.columns.items():
        yield from (WarningCheck(name, check) for check in _select_checks(column.checks, odd=True))
    yield from (WarningCheck(None, check) for check in _select_checks(schema.checks, odd=True))


def _constant_columns(schema: Any) -> tuple[str, ...]:
    columns = schema.columns.items()
    return tuple(name for name, column in columns if (column.metadata or {}).get("constant"))


def _select_checks(checks: Any, *, odd: bool) -> list[Any]:
    return [check for check in checks or [] if check.raise_warning is odd]
