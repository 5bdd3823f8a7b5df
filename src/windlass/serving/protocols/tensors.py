"""Tensors of the Open Inference Protocol V2: reads JSON and binary data, and encodes binary data."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.errors import counted
from windlass.serving.json_reader import JsonReader
from windlass.web.problems import Problem

_TYPES: dict[str, str] = {
    "BOOL": "?", "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
_MAX_DIMENSIONS = 8
_PIECE_TEXTS = 1 << 16
_INTEGERS = frozenset({int, type(None)})
_JSON_TYPES = {
    "BYTES": frozenset({str, type(None)}),
    "BOOL": frozenset({bool, type(None)}),
    "FP": frozenset({float, int, type(None)}),
}  # of the values of each datatype; all others hold integers


def tensor_error(detail: str) -> Problem:
    """Returns 400: a tensor cannot be read, or the request names one that is not there."""
    return Problem(400, detail)


@dataclass(frozen=True)
class Tensor:
    """A named tensor; `values` are flat, in row-major order: of JSON objects, of BYTES str, else numbers.

    Never a list, for the garbage collector looks at each of its items.
    """

    name: str
    shape: tuple[int, ...]
    values: NDArray[Any]

    @property
    def width(self) -> int:
        """How many columns it has."""
        return 1 if len(self.shape) == 1 else self.shape[-1]

    def column(self, index: int, start: int, stop: int) -> list[Any]:
        """Returns a column of the rows from `start` up to, not including, `stop`; None for a missing value."""
        width = self.width
        cells = self.values[start * width + index : stop * width : width]
        values: list[Any] = cells.tolist()
        if cells.dtype.kind != "f":
            return values
        return [None if value != value else value for value in values]  # noqa: PLR0124 - NaN


def read_tensor(reader: JsonReader, binary: "BinaryTail", max_values: int) -> Tensor:
    """Reads one of a request's `inputs`, which comes next. Raises Problem 400, or 413 above `max_values`."""
    if reader.peek() != b"{":
        raise tensor_error("every input is an object")
    spec: dict[str, Any] = {}
    data: _JsonData | None = None
    for member in reader.members():
        if member == "data" and reader.peek() == b"[":
            data = _read_data(reader, max_values)
        else:
            spec[member] = reader.value()
    name, datatype, shape = spec.get("name"), spec.get("datatype"), _shape(spec.get("shape"))
    if not isinstance(name, str):
        raise tensor_error("every input has a name")
    if not isinstance(datatype, str) or (datatype not in _TYPES and datatype != "BYTES"):
        raise tensor_error(f"an input has a datatype of BYTES, {', '.join(_TYPES)}")
    parameters = spec.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    values: NDArray[Any]
    if size is not None:
        values = _decode(binary.take(size), datatype, max_values)
    elif data is not None:
        data.require(datatype)
        values = data.join()
    else:
        raise tensor_error("every input has data: a list, flat or nested")
    if len(values) != math.prod(shape):
        raise tensor_error(f"a shape does not fit {counted(len(values), 'value')}")
    return Tensor(name, shape, values)


class BinaryTail:
    """Binary data behind the JSON part of a body, consumed tensor by tensor."""

    def __init__(self, content: memoryview) -> None:
        self._content = content

    def take(self, size: Any) -> memoryview:
        """Returns the next `size` bytes. Raises Problem 400 where there are fewer."""
        if (
            not isinstance(size, int)
            or isinstance(size, bool)
            or not 0 <= size <= len(self._content)
        ):
            raise tensor_error("a binary_data_size is not within the body")
        taken, self._content = self._content[:size], self._content[size:]
        return taken

    def end(self) -> None:
        """Raises Problem 400 where bytes are left."""
        if self._content:
            raise tensor_error("the body is longer than its binary_data_size")


def encode(values: Sequence[Any] | NDArray[Any], datatype: str) -> bytes:
    """Returns values as binary data: little-endian, each of BYTES after its length in 4 bytes."""
    if datatype == "BYTES":
        texts = [str(value).encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.asarray(values).astype(_TYPES[datatype]).tobytes()


def _shape(shape: Any) -> tuple[int, ...]:
    valid = isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)
    if not valid or not 1 <= len(shape) <= _MAX_DIMENSIONS:
        raise tensor_error("every input has a shape: a list of 1 to 8 sizes")
    return tuple(shape)


class _JsonData:
    """Values of a tensor in JSON, in pieces, and of which types they are."""

    def __init__(self) -> None:
        self._pieces: list[NDArray[np.object_]] = []
        self._types = set[type]()
        self._depths = set[int]()
        self.size = 0

    def add(self, items: list[Any]) -> None:
        """Adds items, flat or nested. Raises Problem 400 where they are nested in another way than those before."""
        values, depth = _flatten(items)
        self._depths.add(depth)
        if len(self._depths) > 1:
            raise _uneven()
        self._types.update(map(type, values))
        self._pieces.append(np.fromiter(values, object, len(values)))
        self.size += len(values)

    def require(self, datatype: str) -> None:
        """Raises Problem 400 where a value is neither of this datatype nor null, which is a missing value."""
        name = "FP" if datatype.startswith("FP") else datatype
        if not self._types <= _JSON_TYPES.get(name, _INTEGERS):
            raise tensor_error(f"data holds a value that is not of type {datatype}")

    def join(self) -> NDArray[np.object_]:
        """Returns all values."""
        return _join(self._pieces)


def _join(pieces: Sequence[NDArray[np.object_]]) -> NDArray[np.object_]:
    """Joins pieces one by one: at once, millions of references would hold the interpreter for long."""
    joined = np.empty(sum(map(len, pieces)), object)
    start = 0
    for piece in pieces:
        joined[start : start + len(piece)] = piece
        start += len(piece)
    return joined


def _read_data(reader: JsonReader, max_values: int) -> _JsonData:
    """Reads `data`, flat or nested, in row-major order. Raises Problem 400, or 413 above `max_values`."""
    data = _JsonData()
    for items in reader.elements():
        data.add(items)
        if data.size > max_values:
            raise _too_many_values()
    return data


def _flatten(data: list[Any]) -> tuple[list[Any], int]:
    """Returns a flat list, and how deep the values were nested."""
    for depth in range(_MAX_DIMENSIONS):
        kinds = {type(item) is list for item in data}
        if kinds != {True}:
            if True in kinds:
                break
            return data, depth
        data = [value for item in data for value in item]
    raise _uneven()


def _uneven() -> Problem:
    return tensor_error("data is nested unevenly")


def _too_many_values() -> Problem:
    return Problem(413, "a tensor holds more than is answered at once; send fewer rows at a time")


def _decode(content: memoryview, datatype: str, max_values: int) -> NDArray[Any]:
    if datatype == "BYTES":
        return _decode_texts(content, max_values)
    kind = np.dtype(_TYPES[datatype])
    if len(content) % kind.itemsize:
        raise tensor_error(f"binary data is not a whole number of {datatype} values")
    values = np.frombuffer(content, kind)
    if len(values) > max_values:
        raise _too_many_values()
    if kind.kind == "f" and np.isinf(values).any():
        raise tensor_error("data holds an infinite number")
    return values


def _decode_texts(content: memoryview, max_values: int) -> NDArray[np.object_]:
    pieces: list[NDArray[np.object_]] = []
    texts: list[str] = []
    position = 0
    while position < len(content):
        if position + 4 > len(content):
            raise tensor_error("binary BYTES are cut short")
        (length,) = struct.unpack_from("<I", content, position)
        position += 4
        if position + length > len(content):
            raise tensor_error("binary BYTES are cut short")
        if len(texts) == _PIECE_TEXTS:
            pieces.append(np.array(texts, object))
            texts = []
        if len(pieces) * _PIECE_TEXTS + len(texts) == max_values:
            raise _too_many_values()
        try:
            texts.append(str(content[position : position + length], "utf-8"))
        except UnicodeDecodeError:
            raise tensor_error("BYTES must be UTF-8 text") from None
        position += length
    return _join([*pieces, np.array(texts, object)])
