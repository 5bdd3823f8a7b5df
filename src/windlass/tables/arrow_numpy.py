"""Converts Arrow arrays to numpy and back over their buffers; pyarrow's own conversions import pandas."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_NUMPY = {pa.date32(): "i4", pa.date64(): "i8"}


def to_numpy(array: Any) -> NDArray[Any]:
    """Return a number, date or timestamp array as read-only numpy, without a copy.

    Values under nulls mean nothing.
    """
    data = array.buffers()[1]
    if not len(array) or data is None:
        return np.zeros(len(array), _numpy_dtype(array.type))
    kind = _numpy_dtype(array.type)
    return np.frombuffer(data, kind, len(array), array.offset * kind.itemsize)


def to_mask(booleans: Any) -> NDArray[np.bool_]:
    """Return a boolean array as numpy bool [n]; values under nulls mean nothing."""
    return to_numpy(booleans.cast(pa.uint8())).view(np.bool_)


def validity_mask(array: Any) -> NDArray[np.bool_] | None:
    """Return which cells are not null, bool [n]; None means all."""
    if pa.types.is_dictionary(array.type) and array.dictionary.null_count:
        array = array.dictionary_decode()
    return to_mask(pc.is_valid(array)) if array.null_count else None


def number_array(values: NDArray[Any]) -> Any:
    """Return floats or integers as an Arrow array, without a copy where they are contiguous."""
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(_arrow_type(values.dtype), len(values), [None, data])


def mask_array(mask: NDArray[np.bool_]) -> Any:
    """Return booleans as an Arrow array."""
    bits = pa.py_buffer(np.packbits(mask, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(mask), [None, bits])


def text_array(texts: Sequence[str]) -> Any:
    """Return strings as an Arrow array of `string`; together they must be less than 2 GiB."""
    encoded = [text.encode() for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(item) for item in encoded], out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def repeat_text(text: str, count: int) -> Any:
    """Return an Arrow array that holds the same string `count` times."""
    return text_array([text]).take(number_array(np.zeros(count, np.int32)))


def _numpy_dtype(kind: Any) -> np.dtype[Any]:
    if pa.types.is_timestamp(kind):
        return np.dtype("i8")
    if kind in _NUMPY:
        return np.dtype(_NUMPY[kind])
    letter = "f" if pa.types.is_floating(kind) else "i" if pa.types.is_signed_integer(kind) else "u"
    return np.dtype(f"{letter}{kind.bit_width // 8}")


def _arrow_type(kind: np.dtype[Any]) -> Any:
    return {"f8": pa.float64(), "i8": pa.int64(), "i4": pa.int32()}[kind.str[1:]]
