"""Checks batches of raw rows against the contract, and reports how many failed and why."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from windlass.errors import FeatureError, QualityError, counted
from windlass.features.ingest.casting import (
    FAULT_SCHEMA,
    cast_columns,
    check_ids,
    uuids_as_text,
)
from windlass.features.ingest.contract import Contract, suppress_warnings
from windlass.features.ingest.raw_files import RawBatch
from windlass.features.offline.parts import to_utc

_MAX_REASON = 120  # characters of a reason
_MAX_NAMED = 3  # reasons that an error names
DUPLICATE = "duplicate"
BROKEN_LINE = "the line has too many or too few cells"
OPEN_QUOTE = "the line opens a quote and does not close it"


@dataclass(frozen=True)
class CheckedRows:
    """Checked batch of rows. `good` holds those that passed, in the contract's types, and `rows` their numbers.

    `faults` has a row for each fault: `row`, the position in the batch, `column` and `reason`. `warnings` counts
    the good rows that failed a warning check, by reason.
    """

    good: pl.DataFrame
    rows: pl.Series
    faults: pl.DataFrame
    warnings: Counter[str]


def check_batch(contract: Contract, batch: RawBatch) -> CheckedRows:
    """Checks a batch against the contract. Raises FeatureError where a check does not answer row by row."""
    present = {name: kind for name, kind in contract.dtypes.items() if name in batch.cells.columns}
    frame, uncast = cast_columns(uuids_as_text(batch.cells, contract.id_types), present)
    frame, unusable = check_ids(frame, {n: t for n, t in contract.id_types.items() if n in present})
    uncast = pl.concat([uncast, unusable])
    failed = _failed_checks(contract.schema, frame)
    # what could not be cast is null now, and not reported twice
    failed = failed.join(uncast, on=["row", "column"], how="anti", nulls_equal=False)
    faults = pl.concat([uncast, failed])
    missing = [
        pl.lit(None, kind).alias(name)
        for name, kind in contract.dtypes.items()
        if name not in present
    ]
    stored = [
        to_utc(pl.col(name), kind) if contract.stored_dtypes[name] != kind else name
        for name, kind in contract.dtypes.items()
    ]
    frame = frame.with_columns(missing).select(stored)
    bad = faults["row"].unique()
    passed = ~pl.int_range(frame.height, dtype=pl.UInt32, eager=True).is_in(bad.implode())
    good = frame.filter(passed)
    warnings = Counter({odd.reason(): odd.count(good) for odd in contract.warnings if good.height})
    return CheckedRows(good, batch.rows.filter(passed), faults, +warnings)


def _failed_checks(schema: Any, frame: pl.DataFrame) -> pl.DataFrame:
    from pandera.errors import SchemaErrors

    if not frame.height:
        return pl.DataFrame(schema=FAULT_SCHEMA)
    try:
        with suppress_warnings():
            schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        return _to_faults(error.failure_cases)
    return pl.DataFrame(schema=FAULT_SCHEMA)


def _to_faults(cases: pl.DataFrame) -> pl.DataFrame:
    """Returns Pandera's failure cases as faults."""
    of_frame = cases.filter(pl.col("index").is_null())
    if of_frame.height:
        check = of_frame["check"][0]
        raise FeatureError(
            f"Check {check} of the contract failed, and does not say for which rows."
            " Have it return a column of booleans, one for each row."
        )
    check = pl.when(pl.col("check") == "not_nullable").then(pl.lit("is null")).otherwise("check")
    reason = pl.concat_str([pl.col("column"), check], separator=": ", ignore_nulls=True)
    return cases.select(
        pl.col("index").cast(pl.UInt32).alias("row"),
        "column",
        reason.str.slice(0, _MAX_REASON).alias("reason"),
    )


@dataclass
class QualityReport:
    """Counts the rows that were read, those quarantined, and the rows for each reason.

    `changed_entities` counts the entities for the reasons that concern whole entities.
    """

    rows: int = 0
    quarantined: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    changed_entities: Counter[str] = field(default_factory=Counter)
    erased: int = 0
    ignored_columns: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The share of the rows that were quarantined, 0 to 1."""
        return self.quarantined / self.rows if self.rows else 0.0

    def add_changed(self, reason: str, entities: int, rows: int) -> None:
        """Count a warning about so many entities, with all their rows."""
        if entities:
            self.changed_entities[reason] += entities
            self.warnings[reason] += rows

    def to_json(self, file: str) -> dict[str, Any]:
        """The report as it stands in `snapshot.json`."""
        return {
            "file": file,
            "rows": self.rows,
            "passed": self.rows - self.quarantined - self.erased,
            "quarantined": self.quarantined,
            "share": self.share,
            "reasons": self._shares(self.reasons),
            "oddities": self._shares(self.warnings),
            "erased": self.erased,
            "ignored_columns": list(self.ignored_columns),
        }

    def _shares(self, counts: Counter[str]) -> dict[str, Any]:
        return {
            reason: {"rows": count, "share": count / self.rows, **self._entities(reason)}
            for reason, count in counts.most_common()
        }

    def _entities(self, reason: str) -> dict[str, int]:
        return (
            {"entities": self.changed_entities[reason]} if reason in self.changed_entities else {}
        )

    def check(self, max_share: float, quarantine_file: str) -> None:
        """Raise QualityError where more than `max_share` of the rows were quarantined, in `quarantine_file`."""
        if self.share <= max_share:
            return
        worst = "; ".join(f"{reason} ({n:,})" for reason, n in self.reasons.most_common(_MAX_NAMED))
        raise QualityError(
            f"{self.quarantined:,} of {counted(self.rows, 'raw row')} ({self.share:.2%}) break the contract,"
            f" more than the {max_share:.2%} that the view allows: {worst}. They are in {quarantine_file}, with the"
            " reasons. Correct the file, or change the contract or `max_invalid_share`. What was built before"
            " still stands."
        )
