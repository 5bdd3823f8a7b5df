"""Tensors of the Open Inference Protocol V2: decodes JSON and binary data, and encodes binary data."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_TYPES: dict[str, str] = {
    "BOOL": "?", "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
_MAX_DIMENSIONS = 8


class TensorError(Exception):
    """A tensor that cannot be read; its message may be shown to the client."""


@dataclass(frozen=True)
class Tensor:
    """A named tensor; `values` are flat, in row-major order.

    BYTES are str.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: list[Any]


def read_tensor(spec: Any, binary: "BinaryTail") -> Tensor:
    """Decodes one of a request's `inputs`. Raises TensorError."""
    if not isinstance(spec, dict):
        raise TensorError("every input is an object")
    name, datatype = spec.get("name"), spec.get("datatype")
    if not isinstance(name, str):
        raise TensorError("every input has a name")
    shape = _shape(spec.get("shape"))
    if not isinstance(datatype, str) or (datatype not in _TYPES and datatype != "BYTES"):
        raise TensorError(f"an input has a datatype of BYTES, {', '.join(_TYPES)}")
    parameters = spec.get("parameters") or {}
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    values = _flat(spec.get("data")) if size is None else _decode(binary.take(size), datatype)
    if len(values) != math.prod(shape):
        raise TensorError(f"shape {list(shape)} does not fit {len(values)} values")
    return Tensor(name, datatype, shape, [_check_value(value, datatype) for value in values])


class BinaryTail:
    """Binary data behind the JSON part of a body, consumed tensor by tensor."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)

    def take(self, size: Any) -> bytes:
        """Returns the next `size` bytes. Raises TensorError where there are fewer."""
        if (
            not isinstance(size, int)
            or isinstance(size, bool)
            or not 0 <= size <= len(self._content)
        ):
            raise TensorError("a binary_data_size is not within the body")
        taken, self._content = self._content[:size], self._content[size:]
        return bytes(taken)

    def end(self) -> None:
        """Raises TensorError where bytes are left."""
        if self._content:
            raise TensorError("the body is longer than its binary_data_size")


def encode(values: Sequence[Any], datatype: str) -> bytes:
    """Returns values as binary data: little-endian, each of BYTES after its length in 4 bytes."""
    if datatype == "BYTES":
        texts = [str(value).encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.asarray(values).astype(_TYPES[datatype]).tobytes()


def _shape(shape: Any) -> tuple[int, ...]:
    valid = isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)
    if not valid or not 1 <= len(shape) <= _MAX_DIMENSIONS:
        raise TensorError("every input has a shape: a list of 1 to 8 sizes")
    return tuple(shape)


def _flat(data: Any) -> list[Any]:
    """Returns `data`, flat or nested, as a flat list in row-major order."""
    if not isinstance(data, list):
        raise TensorError("every input has data: a list, flat or nested")
    for _ in range(_MAX_DIMENSIONS):
        if not any(isinstance(item, list) for item in data):
            flat: list[Any] = data
            return flat
        if not all(isinstance(item, list) for item in data):
            break
        data = [value for item in data for value in item]
    raise TensorError("data is nested unevenly")


def _decode(content: bytes, datatype: str) -> list[Any]:
    if datatype == "BYTES":
        return _decode_texts(content)
    kind = np.dtype(_TYPES[datatype])
    if len(content) % kind.itemsize:
        raise TensorError(f"binary data is not a whole number of {datatype} values")
    values: list[Any] = np.frombuffer(content, kind).tolist()
    return values


def _decode_texts(content: bytes) -> list[str]:
    texts, position = [], 0
    while position < len(content):
        if position + 4 > len(content):
            raise TensorError("binary BYTES are cut short")
        (length,) = struct.unpack_from("<I", content, position)
        position += 4
        if position + length > len(content):
            raise TensorError("binary BYTES are cut short")
        try:
            texts.append(content[position : position + length].decode())
        except UnicodeDecodeError:
            raise TensorError("BYTES must be UTF-8 text") from None
        position += length
    return texts


def _check_value(value: Any, datatype: str) -> Any:
    """Returns a value of its datatype; None for null and NaN, which are missing values. Raises TensorError."""
    if value is None or value != value:  # noqa: PLR0124 - NaN, as binary data has it
        return None
    if value in (math.inf, -math.inf):
        raise TensorError("data holds an infinite number")
    if datatype == "BYTES":
        fits = isinstance(value, str)
    elif datatype == "BOOL":
        fits = isinstance(value, bool)
    elif datatype.startswith("FP"):
        fits = isinstance(value, float | int) and not isinstance(value, bool)
    else:
        fits = isinstance(value, int) and not isinstance(value, bool)
    if not fits:
        raise TensorError(f"data holds a value that is not of type {datatype}")
    return value
