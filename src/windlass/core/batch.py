"""Rows and predictions as arrays: the only form in which they reach an engine and leave it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(
    slots=True
)  # not frozen: one is made a request, and frozen ones take three times as long
class Batch:
    """`numeric` float64 [n, k] (NaN is missing) and `text` object [n, m] of str ("" is missing).

    Columns stand in the row's declared order; k or m may be 0.
    """

    numeric: NDArray[np.float64]
    text: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.numeric)

    def slice(self, start: int, stop: int) -> "Batch":
        """The rows from `start` up to `stop`."""
        return Batch(self.numeric[start:stop], self.text[start:stop])

    def take(self, indices: NDArray[np.int64]) -> "Batch":
        """The rows at these indices."""
        return Batch(self.numeric[indices], self.text[indices])

    @staticmethod
    def concat(batches: "list[Batch]") -> "Batch":
        """All rows of several batches, in order."""
        return Batch(
            np.concatenate([batch.numeric for batch in batches]),
            np.concatenate([batch.text for batch in batches]),
        )


@dataclass(slots=True)
class Prediction:
    """Of n rows. Classification: `labels` int64 [n], indices of classes, and `probabilities` float64 [n, c].

    Regression: `values` float64 [n].
    """

    labels: NDArray[np.int64] | None = None
    probabilities: NDArray[np.float64] | None = None
    values: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        array = self.labels if self.values is None else self.values
        assert array is not None
        return len(array)

    @staticmethod
    def concat(parts: "list[Prediction]") -> "Prediction":
        """All predictions of several parts, in order."""
        if parts[0].values is not None:
            return Prediction(values=np.concatenate([part.values for part in parts]))
        return Prediction(
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.probabilities for part in parts]),
        )

    def slice(self, start: int, stop: int) -> "Prediction":
        """The predictions from `start` up to `stop`."""
        return Prediction(
            None if self.labels is None else self.labels[start:stop],
            None if self.probabilities is None else self.probabilities[start:stop],
            None if self.values is None else self.values[start:stop],
        )
