"""The sealed holdout: test rows of a version (as digests), their true targets, and its predictions for them.

`holdout.npz` holds, sorted by digest: `rows` uint8 [n, 16], `truth` int32 [n] (indices of the declared
classes), float64 [n] or float64 [n, k], and `labels` int32 [n] with `probabilities` float64 [n, c], or `values`
float64 [n] or [n, k]. Several outputs have these arrays each, with their number: `labels_0`. Equal holdouts give equal
bytes.
"""

import io
import zipfile
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.core.batch import Batch, Prediction
from windlass.core.bundle import Bundle
from windlass.core.hashing import canonical_json
from windlass.core.row_schema import RowSchema
from windlass.errors import IntegrityError

HOLDOUT_FILE = "holdout.npz"
DIGEST_BYTES = 16  # bytes
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time in a zip file

Digests = NDArray[np.uint8]


@dataclass(frozen=True)
class Holdout:
    """Test rows of a version: `rows` uint8 [n, 16] are their digests, `truth` [n] or [n, k], `prediction` of n rows."""

    rows: Digests
    truth: NDArray[Any]
    prediction: Prediction

    def __len__(self) -> int:
        return len(self.rows)

    @staticmethod
    def from_arrays(digests: Digests, truth: NDArray[Any], prediction: Prediction) -> "Holdout":
        """Makes a holdout in which equal rows have different digests, independent of the order of the rows.

        `digests` [n, 16] are the `row_digests` of the test rows, `truth` [n] class indices or float64, or [n, k].
        """
        order = np.lexsort((*truth.reshape(len(truth), -1).T[::-1], *digests.T[::-1]))
        rows, truth = _number_duplicates(digests[order]), truth[order]
        by_digest = np.lexsort(rows.T[::-1])
        return Holdout(rows[by_digest], truth[by_digest], prediction.take(order[by_digest]))

    def take(self, indices: NDArray[np.int64]) -> "Holdout":
        """Returns the rows at these indices."""
        return Holdout(self.rows[indices], self.truth[indices], self.prediction.take(indices))


def row_digests(schema: RowSchema, batch: Batch) -> Digests:
    """Computes a digest of 16 bytes for each row [n, 16]; it depends on the row's values only.

    It is BLAKE2b over the columns' names and kinds, then the row: numbers as little-endian float64 with one
    NaN and one zero, text as UTF-8 after its length in bytes.
    """
    header = canonical_json([[column.name, column.kind] for column in schema.model_columns])
    start = blake2b(header, digest_size=DIGEST_BYTES, person=b"windlass.row")
    normalised = np.where(np.isnan(batch.numeric), np.nan, batch.numeric + 0.0).astype("<f8")
    width, numbers = normalised.shape[1] * normalised.itemsize, normalised.tobytes()
    digests = bytearray()
    for index, texts in enumerate(batch.text.tolist()):
        digest = start.copy()
        digest.update(numbers[index * width : (index + 1) * width])
        for text in texts:
            encoded = text.encode()
            digest.update(len(encoded).to_bytes(4, "little") + encoded)
        digests += digest.digest()
    return np.frombuffer(bytes(digests), np.uint8).reshape(-1, DIGEST_BYTES)


def holdout_mask(digests: Digests, test_size: float) -> NDArray[np.bool_]:
    """Returns which rows [n] are test rows: those whose digest, as a fraction from 0 to 1, is below `test_size`.

    The result for a row does not depend on a seed, on the order, or on other rows. Equal rows stay together.
    """
    fraction = digests[:, :8].copy().view(">u8").ravel() / 2.0**64
    below: NDArray[np.bool_] = fraction < test_size
    return below


def common_rows(a: Holdout, b: Holdout) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the indices [m] into each of two holdouts of the rows that are in both."""
    index_in_b = {key: index for index, key in enumerate(_digest_list(b.rows))}
    pairs = [
        (i, index_in_b[key]) for i, key in enumerate(_digest_list(a.rows)) if key in index_in_b
    ]
    joined = np.array(pairs, np.int64).reshape(-1, 2)
    return joined[:, 0], joined[:, 1]


def encode_holdout(holdout: Holdout) -> bytes:
    """Encodes a holdout as the content of `holdout.npz`."""
    kind = "<i4" if holdout.truth.dtype.kind == "i" else "<f8"
    arrays: dict[str, NDArray[Any]] = {"rows": holdout.rows, "truth": holdout.truth.astype(kind)}
    for name, array in _prediction_arrays(holdout.prediction).items():
        arrays[name] = array.astype("<i4" if array.dtype.kind == "i" else "<f8")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), member.getvalue())
    return buffer.getvalue()


def read_holdout(bundle: Bundle) -> Holdout | None:
    """Reads the holdout of a bundle; returns None for old bundles that have none.

    Raises IntegrityError if it is damaged.
    """
    if HOLDOUT_FILE not in bundle.manifest.files:
        return None
    content = bundle.read(HOLDOUT_FILE)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return _check_arrays({name: arrays[name] for name in arrays.files}, bundle)
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise IntegrityError(
            f"Bundle {bundle.path}: {HOLDOUT_FILE} is damaged ({' '.join(str(error).split())[:200]})."
            " Restore the bundle, or train it again."
        ) from error


def _prediction_arrays(prediction: Prediction) -> dict[str, NDArray[Any]]:
    """Returns the arrays of a prediction by name; those of several outputs have their number behind it."""
    if prediction.outputs:
        return {
            f"{name}_{index}": array
            for index, part in enumerate(prediction.outputs)
            for name, array in _prediction_arrays(part).items()
        }
    arrays = {
        "labels": prediction.labels,
        "probabilities": prediction.probabilities,
        "values": prediction.values,
    }
    return {name: array for name, array in arrays.items() if array is not None}


def _read_prediction(
    arrays: dict[str, NDArray[Any]], like: Prediction, suffix: str = ""
) -> Prediction:
    """Returns the prediction that arrays hold, of the form of another. Raises KeyError or ValueError."""
    if like.outputs:
        parts = (
            _read_prediction(arrays, part, f"{suffix}_{index}")
            for index, part in enumerate(like.outputs)
        )
        return Prediction(outputs=tuple(parts))
    expected, count = _prediction_arrays(like), len(arrays["rows"])
    read: dict[str, NDArray[Any]] = {}
    for name, array in expected.items():
        values, shape = arrays[name + suffix], (count, *array.shape[1:])
        if values.shape != shape:
            raise ValueError(f"{name + suffix} has the shape {values.shape}, not {shape}")
        read[name] = values.astype(array.dtype)
    if like.probabilities is not None:
        _check_classes(f"labels{suffix}", read["labels"], like.probabilities.shape[1])
    return Prediction(read.get("labels"), read.get("probabilities"), read.get("values"))


def _check_arrays(arrays: dict[str, NDArray[Any]], bundle: Bundle) -> Holdout:
    """Checks the arrays' shapes and class indices. Raises ValueError or KeyError."""
    rows, truth, target = arrays["rows"], arrays["truth"], bundle.target
    if rows.shape != (len(rows), DIGEST_BYTES) or len(truth) != len(rows):
        raise ValueError(f"rows have the shape {rows.shape}, the truth {truth.shape}")
    prediction = _read_prediction(arrays, target.rejected())
    if truth.shape != (len(rows), *target.truth_shape):
        raise ValueError(f"truth has the shape {truth.shape}")
    if truth.dtype.kind == "i":
        truth = truth.astype(np.int64)
    for classes, labels in target.class_labels(truth):
        _check_classes("truth", labels, len(classes.labels))
    return Holdout(rows, truth, prediction)


def _check_classes(name: str, labels: NDArray[Any], count: int) -> None:
    if len(labels) and not 0 <= labels.min() <= labels.max() < count:
        raise ValueError(f"{name} holds no declared class")


def _number_duplicates(sorted_rows: Digests) -> Digests:
    """Replaces the digests of the second, third, … of equal rows by digests with their number."""
    rows = sorted_rows.copy()
    equal = (sorted_rows[1:] == sorted_rows[:-1]).all(axis=1)
    number = 0
    for index in (np.flatnonzero(equal) + 1).tolist():
        number = number + 1 if index > 1 and equal[index - 2] else 1
        content = sorted_rows[index].tobytes() + number.to_bytes(8, "little")
        digest = blake2b(content, digest_size=DIGEST_BYTES, person=b"windlass.copy").digest()
        rows[index] = np.frombuffer(digest, np.uint8)
    return rows


def _digest_list(rows: Digests) -> list[bytes]:
    content = rows.tobytes()
    return [content[start : start + DIGEST_BYTES] for start in range(0, len(content), DIGEST_BYTES)]
