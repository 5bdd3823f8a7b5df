"""Rows and predictions as arrays: the only form in which they reach an engine and leave it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Selection = NDArray[np.int64] | NDArray[np.bool_]  # indices [m], or a mask [n]


# not frozen: each request makes a batch, and making a frozen one takes three times as long
@dataclass(slots=True)
class Batch:
    """Batch of n rows: columns of numbers, columns of text, and tensors such as images.

    `numeric` is float64 [n, k] (NaN is missing), `text` object [n, m] of str ("" is missing), both with the
    columns in the row's declared order; k or m may be 0. `tensors` maps a field's name to an array
    [n, ...] of any dtype. Use `Batch.from_tensors` to make a batch that has tensors: it checks the shapes.
    """

    numeric: NDArray[np.float64]
    text: NDArray[np.object_]
    tensors: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @staticmethod
    def from_tensors(
        tensors: Mapping[str, NDArray[Any]],
        numeric: NDArray[np.float64] | None = None,
        text: NDArray[np.object_] | None = None,
    ) -> "Batch":
        """Makes a batch of tensors [n, ...] with, if given, `numeric` [n, k] and `text` [n, m].

        Raises ValueError if there is no tensor, or the arrays differ in their number of rows.
        """
        arrays = {"numeric": numeric, "text": text, **tensors}
        rows = {name: len(array) for name, array in arrays.items() if array is not None}
        if not tensors or len(set(rows.values())) != 1:
            raise ValueError(f"A batch needs tensors with the same number of rows, got {rows}.")
        count = next(iter(rows.values()))
        return Batch(
            np.empty((count, 0)) if numeric is None else numeric,
            np.empty((count, 0), object) if text is None else text,
            dict(tensors),
        )

    def __len__(self) -> int:
        return len(self.numeric)

    def slice(self, start: int, stop: int) -> "Batch":
        """Returns the rows from `start` up to, not including, `stop`, as views."""
        rows = Batch(self.numeric[start:stop], self.text[start:stop])
        if self.tensors:
            rows.tensors = {name: array[start:stop] for name, array in self.tensors.items()}
        return rows

    def take(self, selection: Selection) -> "Batch":
        """Returns the rows at these indices [m], or where a mask [n] is true, as copies."""
        rows = Batch(self.numeric[selection], self.text[selection])
        if self.tensors:
            rows.tensors = {name: array[selection] for name, array in self.tensors.items()}
        return rows

    @staticmethod
    def concat(batches: "Sequence[Batch]") -> "Batch":
        """Returns all rows of one or more batches, in order.

        Raises ValueError if the batches have different columns or tensors.
        """
        if len(batches) == 1:
            return batches[0]
        rows = Batch(
            np.concatenate([batch.numeric for batch in batches]),
            np.concatenate([batch.text for batch in batches]),
        )
        names = batches[0].tensors.keys()
        if any(batch.tensors.keys() != names for batch in batches):
            sets = sorted({", ".join(sorted(batch.tensors)) or "none" for batch in batches})
            raise ValueError(f"Batches with different tensors cannot be joined: {sets}.")
        if names:
            rows.tensors = {
                name: np.concatenate([batch.tensors[name] for batch in batches]) for name in names
            }
        return rows


def join_small(batches: Iterable[Batch], size: int) -> list[Batch]:
    """Joins neighbours to batches of at most `size` rows, unless one alone has more; the rows stay in order.

    To join millions of rows at once would hold the interpreter for long.
    """
    joined: list[Batch] = []
    waiting: list[Batch] = []
    rows = 0
    for batch in batches:
        if waiting and rows + len(batch) > size:
            joined.append(Batch.concat(waiting))
            waiting, rows = [], 0
        waiting.append(batch)
        rows += len(batch)
    return [*joined, Batch.concat(waiting)] if waiting else joined


@dataclass(slots=True)
class Prediction:
    """Predictions of n rows.

    Classes: `labels` int64 [n], indices of the declared classes, and `probabilities` float64 [n, c].
    A number: `values` float64 [n]; several, such as quantiles: `values` float64 [n, k]. Several outputs:
    `outputs` holds the prediction of each. Rows that the model rejects have NaN or infinity there.
    """

    labels: NDArray[np.int64] | None = None
    probabilities: NDArray[np.float64] | None = None
    values: NDArray[np.float64] | None = None
    outputs: "tuple[Prediction, ...]" = ()

    def __len__(self) -> int:
        array = self.labels if self.values is None else self.values
        return len(self.outputs[0] if array is None else array)

    @property
    def parts(self) -> "tuple[Prediction, ...]":
        """The predictions of several outputs, or this one alone."""
        return self.outputs or (self,)

    @property
    def numbers(self) -> NDArray[np.float64]:
        """All probabilities and values [n, k], side by side."""
        if self.outputs:
            return np.hstack([each.numbers for each in self.outputs])
        numbers = self.probabilities if self.values is None else self.values
        assert numbers is not None
        return numbers if numbers.ndim == 2 else numbers[:, np.newaxis]

    def is_finite(self) -> bool:
        """Whether the model rejects none of the rows."""
        numbers = self.probabilities if self.values is None else self.values
        if numbers is None:
            return all(each.is_finite() for each in self.outputs)
        if len(numbers) == 1:  # in Python: a sixth of the time
            return math.isfinite(sum(numbers.ravel().tolist()))
        return bool(np.isfinite(numbers).all())

    def finite_rows(self) -> NDArray[np.bool_]:
        """Returns which rows [n] the model does not reject."""
        finite: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(self.numbers), axis=1)
        return finite

    @staticmethod
    def concat(predictions: "Sequence[Prediction]") -> "Prediction":
        """Returns all rows of one or more predictions, in order."""
        first = predictions[0]
        if len(predictions) == 1:
            return first
        if first.values is not None:
            return Prediction(values=np.concatenate([each.values for each in predictions]))
        if first.outputs:
            columns = zip(*(each.outputs for each in predictions), strict=True)
            return Prediction(outputs=tuple(map(Prediction.concat, columns)))
        return Prediction(
            np.concatenate([each.labels for each in predictions]),
            np.concatenate([each.probabilities for each in predictions]),
        )

    def slice(self, start: int, stop: int) -> "Prediction":
        """Returns the rows from `start` up to, not including, `stop`, as views."""
        return Prediction(
            None if self.labels is None else self.labels[start:stop],
            None if self.probabilities is None else self.probabilities[start:stop],
            None if self.values is None else self.values[start:stop],
            tuple([each.slice(start, stop) for each in self.outputs]) if self.outputs else (),
        )

    def take(self, selection: Selection) -> "Prediction":
        """Returns the rows at these indices [m], or where a mask [n] is true, as copies."""
        return Prediction(
            None if self.labels is None else self.labels[selection],
            None if self.probabilities is None else self.probabilities[selection],
            None if self.values is None else self.values[selection],
            tuple(each.take(selection) for each in self.outputs),
        )
