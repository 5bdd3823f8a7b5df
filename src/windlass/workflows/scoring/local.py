"""Scores a file of rows with a bundle: streams it, and writes predictions and rejected rows with the reason."""

import csv
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from windlass.core.bundle import Bundle
from windlass.engines.loader import Engine
from windlass.errors import InputError, SettingsError, counted
from windlass.tables.csv_reader import BrokenLine, BrokenLines, RowNumbers
from windlass.tables.reader import TableReader
from windlass.tables.validate import ValidatedTable
from windlass.tables.writer import open_writer, table_format
from windlass.workflows.scoring.request import (
    ScoreRequest,
    ScoreSummary,
    require_distinct_paths,
    write_atomically,
)
from windlass.workflows.scoring.rows import REJECT_COLUMNS, RowScorer, reject_lines

if TYPE_CHECKING:
    from windlass.core.progress import ProgressCallback


def score(
    bundle: Bundle, engine: Engine, request: ScoreRequest, progress: "ProgressCallback"
) -> ScoreSummary:
    """Predict every valid row of a file, in constant memory; a row that the model rejects counts as invalid.

    The output holds `row` (from 0, in the input), the kept columns, `prediction`, `probability_<class>`
    and `model_version`. The rejects hold a line for every problem. Both files are written atomically, at
    the end. Raises InputError where the input cannot be read, SettingsError where a file cannot be written.
    """
    started = perf_counter()
    require_distinct_paths(request)
    _require_file_paths(request)
    broken = BrokenLines()
    with (
        TableReader(
            request.input,
            table_format(request.input),
            broken.add if request.lenient else None,
            bundle.schema.row.csv,
        ) as reader,
        write_atomically(request.rejects, request.output) as (rejects_part, output_part),
        rejects_part.open("w", encoding="utf-8", newline="") as rejects_file,
    ):
        scorer = RowScorer(
            bundle, engine, reader.schema, request.keep, strings=reader.has_text_only
        )
        rejects, scored = _RejectsWriter(rejects_file), 0
        with open_writer(
            output_part, scorer.schema, table_format(request.output, written=True)
        ) as writer:
            for batch in reader:
                numbers = rejects.number(batch.num_rows, broken.take())
                result = scorer.score(batch, numbers)
                rejects.add(batch, numbers, result.checked)
                if result.predictions.num_rows:
                    writer.write_batch(result.predictions)
                scored += result.predictions.num_rows
                progress(reader.share, f"{counted(scored, 'row')} scored")
        rejects.number(0, broken.take())
        if not scored + rejects.count:
            raise InputError(f"{request.input} holds no rows. Give at least one.")
    seconds = perf_counter() - started
    return ScoreSummary(
        scored + rejects.count, scored, rejects.count, seconds, scorer.ignored_columns
    )


class _RejectsWriter:
    """Writes the file of rows that were not scored, a line for every problem, and numbers all rows."""

    def __init__(self, file: Any) -> None:
        self._write = csv.writer(file).writerow
        self._write(REJECT_COLUMNS)
        self._numbers = RowNumbers()
        self.count = 0

    def number(self, count: int, broken: list[BrokenLine]) -> NDArray[np.int64]:
        """Return the numbers [count] of the next rows, after writing the broken lines."""
        for line in broken:
            self._write((line.row, "", line.reason, line.text))
        self.count += len(broken)
        return self._numbers.take(count, broken)

    def add(self, batch: Any, numbers: NDArray[np.int64], checked: ValidatedTable) -> None:
        for line in reject_lines(batch, numbers, checked):
            self._write(line)
        self.count += int(checked.invalid.sum())


def _require_file_paths(request: ScoreRequest) -> None:
    for option, path in request.paths.items():
        if path.exists() and not path.is_file():  # a device would be replaced by a file
            raise SettingsError(f"{option} {path} is a folder or a device. Name a file.")
    table_format(request.output, written=True)
