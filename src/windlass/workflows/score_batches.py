"""Scoring where the batches are: what a Spark executor does with the Arrow batches that it is given."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from windlass.core.bundle import Bundle
from windlass.engines.base import Engine
from windlass.engines.load import load_engine
from windlass.tables.arrays import number_array, text_array, values_of
from windlass.tables.check import Checked
from windlass.workflows.score_rows import REFUSAL, RowScorer, refusals

FILE, INDEX = (
    "windlass_file",
    "windlass_index",
)  # of each row: its file's name, and its place in there


@dataclass(frozen=True)
class BatchScoring:
    """Scores the rows of several files with the bundle that lies in the archive `digest`.

    `known_as` is the bundle's version; `offsets` says how many rows stand before those of each file.
    """

    digest: str
    known_as: str | None
    keep: tuple[str, ...]
    offsets: Mapping[str, int]

    def answers(self, batches: Iterable[Any]) -> Iterator[Any]:
        """The answers to the good rows, as `score` writes them."""
        for scorer, rows, numbers, checked in self._checked(batches):
            yield scorer.answers(rows, numbers, checked)

    def refusals(self, batches: Iterable[Any]) -> Iterator[Any]:
        """A line for every reason why a row was refused."""
        for _, rows, numbers, checked in self._checked(batches):
            lines = list(refusals(rows, numbers, checked))
            if lines:
                rows_refused, *texts = zip(*lines, strict=True)
                columns = [number_array(np.array(rows_refused)), *map(text_array, texts)]
                yield pa.RecordBatch.from_arrays(columns, REFUSAL)

    def _checked(
        self, batches: Iterable[Any]
    ) -> Iterator[tuple[RowScorer, Any, NDArray[np.int64], Checked]]:
        bundle, engine = _opened(self.digest)
        bundle = replace(bundle, known_as=self.known_as)
        for batch in batches:
            rows = batch.drop_columns([FILE, INDEX])
            scorer = RowScorer(bundle, engine, rows.schema, self.keep)
            yield scorer, rows, self._numbers(batch), scorer.check(rows)

    def _numbers(self, batch: Any) -> NDArray[np.int64]:
        """The numbers [n] of a batch's rows in the whole input."""
        files = batch.column(FILE).dictionary_encode()
        before = [self.offsets[unquote(name.as_py())] for name in files.dictionary]
        numbers: NDArray[np.int64] = np.array(before, np.int64)[
            values_of(files.indices)
        ] + values_of(batch.column(INDEX))
        return numbers


@lru_cache(maxsize=1)
def _opened(digest: str) -> tuple[Bundle, Engine]:
    """The bundle as this machine got it, every file verified, and its engine, proven on the golden rows."""
    from pyspark import SparkFiles

    bundle = Bundle.open(Path(SparkFiles.get(digest)))
    return bundle, load_engine(bundle)
