"""Scores a file of rows with a bundle: streams it, writes predictions, and sets bad rows aside with the reason."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from windlass.core.batch import Batch, Prediction
from windlass.core.bundle import Bundle
from windlass.core.files import flush, part_prefix, remove_stale
from windlass.engines.base import Engine
from windlass.errors import InputError, SettingsError
from windlass.tables.arrays import mask_array, number_array, repeated
from windlass.tables.check import Checked, check_table, refuse_columns
from windlass.tables.reader import Ragged, TableReader
from windlass.tables.writer import form_of, open_writer, prediction_table

Progress = Callable[[float, str], None]


_INDEX = " A column without a name is a data frame's index: write the file with index=False."


@dataclass(frozen=True)
class ScoreRequest:
    """What to score. `rejects` is `<output>.rejects.csv` unless named; `keep` names columns to copy."""

    input: Path
    output: Path
    rejects: Path
    keep: tuple[str, ...] = ()

    @staticmethod
    def of(
        source: Path, output: Path, rejects: Path | None = None, keep: tuple[str, ...] = ()
    ) -> "ScoreRequest":
        """A request with the default place for rejects."""
        return ScoreRequest(
            source, output, rejects or output.with_name(f"{output.name}.rejects.csv"), keep
        )


@dataclass(frozen=True)
class ScoreSummary:
    """How scoring went."""

    rows: int
    scored: int
    rejected: int
    seconds: float


def score(
    bundle: Bundle, engine: Engine, request: ScoreRequest, progress: Progress
) -> ScoreSummary:
    """Predict every good row of a file, in constant memory.

    The output holds `row` (from 0, in the input), the kept columns, `prediction`, `probability_<class>`
    and `model_version`. The rejects hold a line for every reason. Both appear whole, at the end, or not
    at all. Raises InputError where the input cannot be read, SettingsError where a file cannot be written.
    """
    started = perf_counter()
    _refuse_clashes(request)
    ragged: list[Ragged] = []
    with (
        TableReader(request.input, form_of(request.input), ragged.append) as reader,
        _whole(request.rejects, request.output) as (rejects_part, output_part),
        rejects_part.open("w", encoding="utf-8", newline="") as rejects_file,
    ):
        scorer = _Scorer(bundle, engine, reader, request.keep)
        rejects = _Rejects(rejects_file)
        with open_writer(output_part, scorer.schema, form_of(request.output)) as writer:
            for batch in reader:
                numbers = rejects.number(batch.num_rows, ragged)
                checked = scorer.check(batch)
                rejects.add(batch, numbers, checked)
                scorer.write(writer, batch, numbers, checked)
                progress(reader.share, f"{scorer.scored:,} rows scored")
        rejects.number(0, ragged)
        if not scorer.scored + rejects.count:
            raise InputError(f"{request.input} holds no rows. Give at least one.")
    seconds = perf_counter() - started
    return ScoreSummary(scorer.scored + rejects.count, scorer.scored, rejects.count, seconds)


class _Scorer:
    """Checks, predicts and lays out one batch after another."""

    def __init__(
        self, bundle: Bundle, engine: Engine, reader: TableReader, keep: tuple[str, ...]
    ) -> None:
        self._row = bundle.schema.row
        self._classes = bundle.schema.target.classes
        self._version = bundle.version
        self._engine = engine
        self._keep = keep
        self._strings = reader.form == "csv"
        self._columns = [name for name in reader.names if name in self._row.names]
        self._refuse_extra(reader)
        self.scored = 0
        self.schema = self._schema(reader.schema)

    def check(self, batch: Any) -> Checked:
        rows = batch.select(self._columns)
        most = max(batch.num_rows * len(self._columns), 1)  # every reason goes to the rejects
        return check_table(self._row, rows, strings=self._strings, limit=most)

    def write(self, writer: Any, batch: Any, numbers: NDArray[np.int64], checked: Checked) -> None:
        rows = checked.batch
        if checked.bad.any():
            good = ~checked.bad
            rows = Batch(rows.numeric[good], rows.text[good])
            batch, numbers = batch.filter(mask_array(good)), numbers[good]
        if not len(rows):
            return
        answer = prediction_table(self._engine.predict(rows), self._classes)
        kept = [_dense(batch.column(name)) for name in self._keep]
        version = repeated(self._version, len(rows))
        arrays = [number_array(numbers), *kept, *answer.columns, version]
        writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self.schema))
        self.scored += len(rows)

    def _refuse_extra(self, reader: TableReader) -> None:
        for name in self._keep:
            if name not in reader.names:
                raise InputError(
                    f"The input has no column {name!r} to keep. It has: {', '.join(reader.names)}."
                )
        extra = [name for name in reader.names if name not in (*self._row.names, *self._keep)]
        refuse_columns(self._row, self._columns)
        if extra:
            raise InputError(
                f"The input has columns that {self._row.title} does not: {', '.join(map(repr, extra))}."
                f" Copy them to the output with --keep {','.join(extra)}, or remove them."
                f"{_INDEX if '' in extra else ''}"
            )

    def _schema(self, schema: Any) -> Any:
        count = 0 if self._classes is None else len(self._classes)
        nothing = Prediction(np.zeros(0, np.int64), np.zeros((0, count)))
        if self._classes is None:
            nothing = Prediction(values=np.zeros(0))
        kept = [pa.field(name, _dense_type(schema.field(name).type)) for name in self._keep]
        answer = prediction_table(nothing, self._classes).schema
        version = pa.field("model_version", pa.string())
        whole = pa.schema([pa.field("row", pa.int64()), *kept, *answer, version])
        for name in self._keep:
            if whole.names.count(name) > 1:
                raise InputError(
                    f"The column {name!r} cannot be kept: the output has one of that name. Rename it."
                )
        return whole


class _Rejects:
    """The file of rows that were not scored, a line for every reason; and the numbers of all rows."""

    def __init__(self, file: Any) -> None:
        self._write = csv.writer(file).writerow
        self._write(("row", "column", "reason", "values"))
        self._next = 0
        self._skipped: list[int] = []
        self.count = 0

    def number(self, count: int, ragged: list[Ragged]) -> NDArray[np.int64]:
        """The numbers [count] of the next rows in the input, where ragged lines count and do not come."""
        for line in ragged:
            self._write((line.row, "", f"{line}".partition(" has ")[2], line.text))
        self.count += len(ragged)
        self._skipped = [row for row in self._skipped if row >= self._next]
        self._skipped += [line.row for line in ragged]
        ragged.clear()
        numbers = np.arange(self._next, self._next + count + len(self._skipped))
        numbers = numbers[~np.isin(numbers, self._skipped)][:count]
        self._next = int(numbers[-1]) + 1 if count else self._next
        return numbers

    def add(self, batch: Any, numbers: NDArray[np.int64], checked: Checked) -> None:
        if not checked.problems:
            return
        bad = np.flatnonzero(checked.bad).tolist()
        rows = batch.filter(mask_array(checked.bad)).to_pylist()
        values = {
            row: json.dumps(cells, ensure_ascii=False, default=str)
            for row, cells in zip(bad, rows, strict=True)
        }
        for problem in checked.problems:
            number = int(numbers[problem.row])
            self._write((number, problem.column, problem.reason, values[problem.row]))
        self.count += len(bad)


def _dense_type(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _dense(array: Any) -> Any:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _refuse_clashes(request: ScoreRequest) -> None:
    paths = {
        "--input": request.input,
        "--output": request.output,
        "--rejects": request.rejects,
    }
    seen: dict[Path, str] = {}
    for option, path in paths.items():
        place = path.resolve()
        if place in seen:
            raise SettingsError(f"{option} and {seen[place]} are both {path}. Name another file.")
        if path.exists() and not path.is_file():  # a device would be replaced by a file
            raise SettingsError(f"{option} {path} is a folder or a device. Name a file.")
        seen[place] = option
    form_of(request.output)


@contextmanager
def _whole(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Files to write beside `paths`, put in their places, in order, only if all went well."""
    parts = tuple(path.with_name(f"{part_prefix(path)}part") for path in paths)
    for path in paths:
        remove_stale(path)
    try:
        yield parts
        for part, path in zip(parts, paths, strict=True):
            flush(part)
            part.replace(path)
    except OSError as error:
        raise SettingsError(
            f"Cannot write {' and '.join(map(str, paths))}: {error.strerror or error}."
            " Name files in a folder that can be written, on a disk with space."
        ) from error
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
