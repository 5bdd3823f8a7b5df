"""Infers a declaration from a whole table: inputs, ids, columns that give the target away, the target."""

import difflib
import re
from dataclasses import dataclass, replace

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from windlass.core.csv_format import SPACES, CsvFormat
from windlass.core.project import added_columns
from windlass.core.targets.classes import Classes
from windlass.core.targets.quantity import Quantity
from windlass.errors import DataError, counted
from windlass.scaffold.column_inference import infer_column
from windlass.scaffold.column_profile import ColumnProfile, ColumnType
from windlass.scaffold.number_inference import detect_number_format
from windlass.scaffold.source_table import SourceColumn, SourceTable
from windlass.scaffold.target_inference import TargetProfile, column_numbers, infer_target

_ID_WORDS = frozenset({"id", "ids", "uuid", "guid", "pk", "identifier"})
_ROW_WORDS = frozenset(
    {
        "index",
        "idx",
        "rownames",
        "rowname",
        "rownum",
        "rowid",
        "row",
        "nr",
        "no",
        "number",
        "key",
        "code",
    }
)
_UNNAMED = re.compile(
    r"^(Unnamed: ?[0-9]+|\.\.\.[0-9]+|X|_c?[0-9]+)?$"
)  # as pandas, R and Spark write an index
_CODE = r"^\S*[0-9]\S*$"
_ID_NAME = re.compile(
    r"(account|case|claim|client|customer|device|employee|invoice|item|loan|member|object|order|passenger|patient|person"
    r"|policy|product|record|session|shop|store|student|supplier|transaction|user|vendor)id"
)
_NUMBERS = (ColumnType.NUMBER, ColumnType.INTEGER)
_MIN_ROWS = 20  # rows from which different values in all of them say something
_MIN_LEAK_ROWS = 50
_MIN_GROUPS = 20
_MIN_SPLIT_GROUPS = 30  # of which about six are held out
_SAME = 0.99999  # correlation of two columns that say the same


@dataclass(frozen=True)
class TableProfile:
    """What was inferred of a table: `columns` without the target's, `group` the id that repeats, if there is one.

    `csv` is how the file is written. `missing` are all texts that stand for a missing value.
    """

    source: SourceTable
    csv: CsvFormat
    columns: tuple[ColumnProfile, ...]
    target: TargetProfile
    group: str | None
    missing: tuple[str, ...]

    @property
    def inputs(self) -> tuple[ColumnProfile, ...]:
        """The columns that the row declares."""
        return tuple(column for column in self.columns if column.left_out is None)

    @property
    def left_out(self) -> tuple[ColumnProfile, ...]:
        """The columns that are not inputs of the model."""
        return tuple(column for column in self.columns if column.left_out is not None)


def infer_table(source: SourceTable, target: str) -> TableProfile:
    """Infer the declaration of a project that predicts the column `target`.

    Raises DataError where the table has no rows, no such column, or nothing to learn from.
    """
    target_column = _find_target(source, target)
    if source.rows == 0:
        raise DataError(f"{source.file} has a header and no rows. Add rows to learn from.")
    inputs = [column for column in source.columns if column is not target_column]
    csv = CsvFormat()
    if source.dialect is not None:
        decimal, thousands = detect_number_format(source.columns, source.dialect.delimiter)
        csv = CsvFormat(
            delimiter=source.dialect.delimiter,
            encoding=source.dialect.encoding,
            decimal=decimal,
            thousands=thousands,
        )
    target_profile = infer_target(source, target_column, csv)
    profiles = [infer_column(column, csv) for column in inputs]
    leaks = _TargetCheck(target_column, target_profile, csv)
    profiles = [
        _find_role(column, profile, leaks) for column, profile in zip(inputs, profiles, strict=True)
    ]
    missing = _missing_texts(source, profiles, target_profile)
    profiles = [
        _mark_missing(column, profile, missing)
        for column, profile in zip(inputs, profiles, strict=True)
    ]
    result = TableProfile(
        source, csv, tuple(profiles), target_profile, _find_group(profiles), missing
    )
    if not result.inputs:
        reasons = "; ".join(f"{column.name!r}: {column.left_out}" for column in result.columns[:5])
        raise DataError(f"{source.file} has no column to predict {target!r} from. {reasons}.")
    return result


def _find_target(source: SourceTable, target: str) -> SourceColumn:
    for column in source.columns:
        if column.name == target:
            return column
    names = [column.name for column in source.columns]
    folded = {name.strip().casefold(): name for name in names}
    similar = folded.get(target.strip().casefold())
    near = [similar] if similar is not None else difflib.get_close_matches(target, names, 1, 0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise DataError(
        f"{source.file} has no column {target!r}.{hint} There are: {', '.join(map(repr, names[:40]))}."
    )


class _TargetCheck:
    """Compares columns with the target of all rows."""

    def __init__(self, column: SourceColumn, target: TargetProfile, csv: CsvFormat) -> None:
        self._target = target
        self._csv = csv
        self.taken = added_columns(
            Quantity(target.name) if target.labels is None else Classes(target.name, target.labels)
        )
        self._codes = _present_codes(column, target.missing)
        self._numbers = (
            None if target.is_classification else column_numbers(column, target.missing, csv)
        )

    def find_leak(self, column: SourceColumn, profile: ColumnProfile) -> str | None:
        """Returns why a column must be a leak: value by value, or as a number, it says the same as the target."""
        codes = _present_codes(column, profile.missing)
        both = (codes >= 0) & (self._codes >= 0)
        if np.count_nonzero(both) < _MIN_LEAK_ROWS:
            return None
        if self._target.is_classification:
            is_same = _are_paired(codes[both], self._codes[both])
        else:
            is_same = self._is_same_number(column, profile, both)
        return (
            f"a leak, probably: it says the same as the target {self._target.name!r} in every row. Would you know it"
            " before the prediction?"
            if is_same
            else None
        )

    def _is_same_number(
        self, column: SourceColumn, profile: ColumnProfile, both: NDArray[np.bool_]
    ) -> bool:
        if self._numbers is None or profile.type not in _NUMBERS:
            return False
        numbers = column_numbers(column, profile.missing, self._csv)[both]
        truth = self._numbers[both]
        if not np.isfinite(numbers).all() or not np.isfinite(truth).all():
            return False
        varies = np.std(numbers) > 0 and np.std(truth) > 0
        return bool(varies and abs(np.corrcoef(numbers, truth)[0, 1]) > _SAME)


def _present_codes(column: SourceColumn, missing: tuple[str, ...]) -> NDArray[np.int64]:
    """The code [n] of every row's text; -1 where it is missing."""
    codes = np.arange(len(column.texts) + 1)
    codes[-1] = -1
    codes[[at for at, text in enumerate(column.texts.to_pylist()) if text in set(missing)]] = -1
    return codes[column.codes]


def _are_paired(values: NDArray[np.int64], classes: NDArray[np.int64]) -> bool:
    """Whether each value goes with one class, and each class with one value."""
    pairs = len(np.unique(values * (int(classes.max()) + 1) + classes))
    return pairs == len(np.unique(values)) == len(np.unique(classes))


def _find_role(column: SourceColumn, profile: ColumnProfile, leaks: _TargetCheck) -> ColumnProfile:
    """The profile, left out where the column is an id or gives the target away."""
    id_reason = _id_reason(column, profile)
    if id_reason is not None:
        return replace(profile, left_out=id_reason)
    if profile.left_out is not None:
        return profile
    if profile.name in leaks.taken:
        return profile.without(
            "its name is that of something that Windlass adds to predictions: rename it"
        )
    if not profile.name.strip():
        return profile.without("it has no name")
    leak = leaks.find_leak(column, profile)
    return profile if leak is None else profile.without(leak)


def _id_reason(column: SourceColumn, profile: ColumnProfile) -> str | None:
    """Why a column is an id, and not an input; None where it is not."""
    words = re.split(r"[\W_]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", profile.name).lower())
    present = profile.rows - profile.missing_rows
    is_unique = profile.distinct == present and present >= _MIN_ROWS
    is_text = profile.type in (ColumnType.TEXT, ColumnType.CATEGORY)
    is_sequence = (
        profile.type is ColumnType.INTEGER
        and profile.low is not None
        and float(profile.high or 0) - float(profile.low) == present - 1
    )
    if _UNNAMED.match(profile.name) and is_unique and (is_sequence or is_text):
        return "an index without a name: each row has its own"
    if is_unique and (is_sequence and present >= _MIN_ROWS):
        return "a number that counts the rows"
    has_id_name = bool(_ID_WORDS & set(words)) or _ID_NAME.fullmatch(words[-1]) is not None
    if is_unique and (
        has_id_name or (words[-1] in _ROW_WORDS and profile.type is not ColumnType.NUMBER)
    ):
        return "an id: each row has its own"
    if is_unique and is_text and pc.all(pc.match_substring_regex(column.texts, _CODE)).as_py():
        return "an id, probably: each row has its own code"
    if (
        has_id_name
        and profile.distinct >= _MIN_GROUPS
        and profile.type in (ColumnType.INTEGER, ColumnType.TEXT)
    ):
        return f"an id: {profile.distinct:,} of them in {counted(present, 'row')}"
    return None


def _find_group(profiles: list[ColumnProfile]) -> str | None:
    """The name of the id that several rows have in common."""
    for profile in profiles:
        reason = profile.left_out or ""
        is_group = reason.startswith("an id: ") and " of them in " in reason
        if is_group and not profile.missing_rows and profile.distinct >= _MIN_SPLIT_GROUPS:
            return profile.name
    return None


def _missing_texts(
    source: SourceTable, profiles: list[ColumnProfile], target: TargetProfile
) -> tuple[str, ...]:
    """The texts that stand for a missing value; the empty one only in Parquet, since CSV always takes it so."""
    columns = [profile.missing for profile in profiles if profile.left_out is None]
    texts = [text.strip(SPACES) for missing in (*columns, target.missing) for text in missing]
    return tuple(dict.fromkeys(text for text in texts if text or source.form == "parquet"))


def _mark_missing(
    column: SourceColumn, profile: ColumnProfile, missing: tuple[str, ...]
) -> ColumnProfile:
    """The profile of a column of words in which a text occurs that is missing for another column."""
    if profile.type is not ColumnType.TEXT or profile.left_out is not None:
        return profile
    further = set(missing) - {text.strip(SPACES) for text in profile.missing}
    counts = {
        text: count
        for text, count in zip(column.texts.to_pylist(), column.counts.tolist(), strict=True)
        if text.strip(SPACES) in further
    }
    if not counts:
        return profile
    words = ", ".join(repr(text) for text in counts)
    return replace(
        profile,
        missing_rows=profile.missing_rows + sum(counts.values()),
        missing=(*profile.missing, *counts),
        doubts=(*profile.doubts, f"{words} counts as missing here too, as in other columns"),
    )
