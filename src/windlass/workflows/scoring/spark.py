"""Scores Parquet on a Spark cluster: executors run Arrow batches through the ONNX engine."""

import csv
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from windlass.core.bundle import Bundle
from windlass.engines.loader import Engine, load_engine
from windlass.errors import EngineError, FeatureError, InputError, SettingsError, counted
from windlass.features.engines.spark_session import spark_path, spark_session
from windlass.tables.arrow_numpy import number_array, text_array, to_numpy
from windlass.tables.writer import table_format
from windlass.workflows.scoring.request import (
    ScoreRequest,
    ScoreSummary,
    require_distinct_paths,
    write_atomically,
)
from windlass.workflows.scoring.rows import REJECT_COLUMNS, RowScorer, ScoredBatch, reject_lines

if TYPE_CHECKING:
    from windlass.core.progress import ProgressCallback

FILE_COLUMN = "windlass_file"  # of each row: the name of its file
INDEX_COLUMN = "windlass_index"  # of each row: its index in that file


@dataclass(frozen=True)
class PartitionScorer:
    """Scores the rows of several files with the bundle in the archive `digest`.

    `registered_version` is the bundle's version; `offsets` says how many rows precede those of each file.
    """

    digest: str
    registered_version: str | None
    keep: tuple[str, ...]
    offsets: Mapping[str, int]

    def predict(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yield the predictions of the valid rows, as `score` writes them."""
        for _, _, result in self._scored(batches):
            yield result.predictions

    def reject_lines(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yield a line for every problem of a row."""
        for rows, numbers, result in self._scored(batches):
            lines = list(reject_lines(rows, numbers, result.checked))
            if lines:
                rejected_rows, *texts = zip(*lines, strict=True)
                columns = [number_array(np.array(rejected_rows)), *map(text_array, texts)]
                yield pa.RecordBatch.from_arrays(columns, REJECT_COLUMNS)

    def _scored(
        self, batches: Iterable[Any]
    ) -> Iterator[tuple[Any, NDArray[np.int64], ScoredBatch]]:
        bundle, engine = _load_bundle(self.digest)
        bundle = replace(bundle, registered_version=self.registered_version)
        for batch in batches:
            rows = batch.drop_columns([FILE_COLUMN, INDEX_COLUMN])
            scorer = RowScorer(bundle, engine, rows.schema, self.keep)
            numbers = self._numbers(batch)
            yield rows, numbers, scorer.score(rows, numbers)

    def _numbers(self, batch: Any) -> NDArray[np.int64]:
        """Return the numbers [n] of a batch's rows in the whole input."""
        files = batch.column(FILE_COLUMN).dictionary_encode()
        before = [self.offsets[unquote(name.as_py())] for name in files.dictionary]
        numbers: NDArray[np.int64] = np.array(before, np.int64)[to_numpy(files.indices)] + to_numpy(
            batch.column(INDEX_COLUMN)
        )
        return numbers


@lru_cache(maxsize=1)
def _load_bundle(digest: str) -> tuple[Bundle, Engine]:
    """Return the bundle on this machine, digests verified, and its engine, checked on the reference examples."""
    from pyspark import SparkFiles

    bundle = Bundle.open(Path(SparkFiles.get(digest)))
    return bundle, load_engine(bundle)


_SPARK_TYPES = {
    pa.int64(): "long",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.string(): "string",
}


def score_on_spark(
    bundle: Bundle, request: ScoreRequest, master: str | None, progress: "ProgressCallback"
) -> ScoreSummary:
    """Predict every valid row of a Parquet file, or of a folder of them, on the cluster at `master`.

    The predictions are those of `score`, in a folder of Parquet parts in no order: `row` counts through the input's
    files by their names. Executors have to see the folders of input and output, and need a Python with Windlass.
    Raises InputError where the input cannot be read, SettingsError where the output cannot be written,
    EngineError where the bundle has no ONNX model, FeatureError where Spark fails.
    """
    started = perf_counter()
    _check_request(bundle, request)
    source = _ParquetInput.open(request.input)
    scorer = RowScorer(bundle, load_engine(bundle), source.schema, request.keep)
    with write_atomically(request.rejects, request.output) as (rejects, output):
        progress(0.0, "starting on Spark")
        with _spark_job(bundle, source, request, master) as job:
            progress(
                0.1,
                f"scoring {counted(source.rows, 'row')} of {counted(len(source.files), 'file')}",
            )
            scored = job.predict(scorer.schema, output)
            progress(0.8, "collecting rejected rows")
            reject_files = job.reject_lines(output / "_refused") if scored < source.rows else []
        rejected = _write_rejects(reject_files, rejects)
        if scored + rejected != source.rows:
            raise FeatureError(
                f"Spark's workers returned {scored + rejected:,} of {counted(source.rows, 'row')}. Check that they"
                f" share the disk of {request.output.absolute().parent}."
            )
        _remove_spark_files(output, scorer.schema)
    seconds = perf_counter() - started
    return ScoreSummary(source.rows, scored, rejected, seconds, scorer.ignored_columns)


@dataclass(frozen=True)
class _ParquetInput:
    """The Parquet files of an input, all of one schema, in the order of their names."""

    files: tuple[Path, ...]
    counts: tuple[int, ...]
    schema: Any

    @staticmethod
    def open(path: Path) -> "_ParquetInput":
        """Read the footers of the files at `path`. Raises InputError."""
        files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not files or table_format(files[0]) != "parquet":
            raise InputError(
                f"{path} holds no Parquet. --engine spark reads a .parquet file, or a folder of them."
            )
        footers = [_read_footer(file) for file in files]
        schema = footers[0].schema.to_arrow_schema()
        for file, footer in zip(files, footers, strict=True):
            if not footer.schema.to_arrow_schema().equals(schema):
                raise InputError(
                    f"{file} has other columns than {files[0]}. Score files of one schema at a time."
                )
        counts = tuple(footer.num_rows for footer in footers)
        if not sum(counts):
            raise InputError(f"{path} holds no rows. Give at least one.")
        return _ParquetInput(tuple(file.absolute() for file in files), counts, schema)

    @property
    def rows(self) -> int:
        """Number of rows in all files."""
        return sum(self.counts)

    @property
    def offsets(self) -> dict[str, int]:
        """Number of rows before those of each file, by its name."""
        before = [sum(self.counts[:at]) for at in range(len(self.counts))]
        return dict(zip((file.name for file in self.files), before, strict=True))


@dataclass(frozen=True)
class _SparkJob:
    """Rows on the cluster, and the scorer of their partitions."""

    frame: Any
    scoring: PartitionScorer

    def predict(self, schema: Any, into: Path) -> int:
        """Write the predictions, of this Arrow schema, to a folder; return their number."""
        from pyspark.sql.types import StructType

        columns = StructType()
        for field in schema:
            is_copied = field.name in self.scoring.keep
            kind = self.frame.schema[field.name].dataType if is_copied else _SPARK_TYPES[field.type]
            columns.add(field.name, kind)
        parts = self._write(self.scoring.predict, columns, into)
        return sum(_read_footer(part).num_rows for part in parts)

    def reject_lines(self, into: Path) -> list[Path]:
        """Write a line for every problem; return the files."""
        row, *texts = REJECT_COLUMNS
        columns = f"{row} bigint, {', '.join(f'`{name}` string' for name in texts)}"
        return self._write(self.scoring.reject_lines, columns, into)

    def _write(self, scored: Callable[..., Any], columns: Any, into: Path) -> list[Path]:
        with warnings.catch_warnings():  # of a pandas that is not used
            warnings.filterwarnings("ignore", "PySpark does not yet", FutureWarning)
            written = self.frame.mapInArrow(scored, columns)
        written.write.parquet(spark_path(into))
        return sorted(into.glob("*.parquet"))


@contextmanager
def _spark_job(
    bundle: Bundle, source: _ParquetInput, request: ScoreRequest, master: str | None
) -> Iterator[_SparkJob]:
    """Open a Spark session with the rows, and send the bundle to the executors."""
    scoring = PartitionScorer(
        bundle.digest, bundle.registered_version, request.keep, source.offsets
    )
    with (
        TemporaryDirectory(prefix="windlass-") as folder,
        spark_session(master, "windlass predict") as session,
    ):
        packed = shutil.make_archive(str(Path(folder, bundle.digest)), "zip", bundle.path)
        session.sparkContext.addArchive(f"{packed}#{bundle.digest}")
        frame = session.read.parquet(*map(spark_path, source.files))
        columns = {FILE_COLUMN: "_metadata.file_name", INDEX_COLUMN: "_metadata.row_index"}
        yield _SparkJob(
            frame.selectExpr("*", *(f"{of} AS {name}" for name, of in columns.items())), scoring
        )


def _check_request(bundle: Bundle, request: ScoreRequest) -> None:
    require_distinct_paths(request)
    if bundle.manifest.engine.name != "onnx":
        raise EngineError(
            f"The model of {bundle.path} has no ONNX form, and Spark's executors unpickle nothing."
            " Score it on one machine, without --engine spark."
        )
    if table_format(request.output, written=True) != "parquet":
        raise SettingsError(
            f"--output {request.output} does not end in .parquet: --engine spark writes a folder of Parquet."
        )
    if request.output.exists():
        raise SettingsError(
            f"--output {request.output} exists already. Name another, or remove it."
        )


def _read_footer(file: Path) -> Any:
    try:
        return pq.read_metadata(file)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{file} cannot be read as Parquet. Check the file.") from error


def _write_rejects(parts: list[Path], rejects: Path) -> int:
    """Write the rejected rows as one CSV file; return their number."""
    count = 0
    with rejects.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(REJECT_COLUMNS)
        for part in parts:
            before = None  # the lines of a row are adjacent
            for batch in pq.ParquetFile(part).iter_batches():
                for row, *line in zip(*(column.to_pylist() for column in batch), strict=True):
                    writer.writerow((row, *line))
                    count += row != before
                    before = row
    return count


def _remove_spark_files(folder: Path, schema: Any) -> None:
    """Remove everything but predictions from the folder; write an empty file if there are none."""
    for child in [*folder.iterdir()]:
        if child.is_dir():
            shutil.rmtree(child)
        elif child.suffix != ".parquet":
            child.unlink()
    if not any(folder.iterdir()):
        pq.write_table(schema.empty_table(), folder / "part-00000.parquet")
