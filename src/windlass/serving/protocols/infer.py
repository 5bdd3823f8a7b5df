"""Inference requests of the Open Inference Protocol V2: reads rows from tensors, and answers with tensors."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import orjson

from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema
from windlass.core.targets.target import OutputArray, Target
from windlass.serving.batch_answer import STEP_ROWS, BatchAnswer, array_values
from windlass.serving.json_reader import JsonReader
from windlass.serving.model import ServedModel
from windlass.serving.predict import MAX_JSON_ROWS, Rows, too_many_rows
from windlass.serving.protocols.rows import validate_rows
from windlass.serving.protocols.tensors import BinaryTail, Tensor, encode, read_tensor, tensor_error
from windlass.web.messages import Request, Response

JSON_LENGTH = b"inference-header-content-length"
MAX_INPUTS = 10_000
_MATRIX_KINDS = (ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.BOOLEAN)

Cells = Callable[[int, int], list[Any]]  # the values of a column from one row up to another


def output_tensors(target: Target) -> list[tuple[str, str, list[int]]]:
    """Returns name, datatype and shape behind the number of rows of each output."""
    return [
        (array.name, _datatype(array), list(array.values.shape[1:]))
        for array in target.arrays(target.rejected())
    ]


def _datatype(array: OutputArray) -> str:
    first = array.values.item(0) if array.classes is None else array.classes[0]
    if isinstance(first, bool):
        return "BOOL"
    return {int: "INT64", float: "FP64"}.get(type(first), "BYTES")


class InferRequest:
    """One request: `read` reads its body, after which `encode` answers as the body asks."""

    def __init__(self, request: Request, body: bytes) -> None:
        """Finds where the body's JSON ends and its binary data begins. Raises Problem 400."""
        header = request.header(JSON_LENGTH)
        if header is not None and (
            len(header) > 18 or not header.isdigit() or int(header) > len(body)
        ):
            raise tensor_error("Inference-Header-Content-Length is not within the body")
        self._body = body
        self._json_length = len(body) if header is None else int(header)
        self._members: dict[str, Any] = {}
        self._outputs: dict[str, _Output] = {}

    def read(self, model: ServedModel) -> Iterator[Rows]:
        """Yields the rows that the tensors hold. Raises Problem 400, 413 or 422."""
        reader = JsonReader(self._body[: self._json_length])
        if reader.peek() != b"{":
            raise tensor_error("the request must be a JSON object")
        tail = BinaryTail(memoryview(self._body)[self._json_length :])
        tensors: list[Tensor] = []
        for name in reader.members():
            if name == "inputs" and reader.peek() == b"[":
                tensors = _read_tensors(model, reader, tail)
            else:
                self._members[name] = reader.value()
        reader.end()
        if not tensors:
            raise tensor_error("inputs must be a list of tensors")
        self._outputs = _requested_outputs(model, self._members)
        tail.end()
        return _rows(model, tensors)

    def encode(self, answer: BatchAnswer, _: bytes) -> Response:
        """Returns the response with the requested outputs, in binary where that was asked for."""
        request_id = self._members.get("id")
        shared = {
            "model_name": answer.model.bundle.manifest.project,
            "model_version": answer.model.version,
            "id": request_id if isinstance(request_id, str) else answer.prediction_id,
        }
        outputs: list[bytes] = []
        tails: list[bytes] = []
        for index, (name, datatype, rest) in enumerate(output_tensors(answer.model.target)):
            if name in self._outputs:
                head, data = self._outputs[name].encode(answer, index, datatype, rest)
                outputs.append(head)
                tails.append(data)
        encoded = b"".join((orjson.dumps(shared)[:-1], b',"outputs":[', b",".join(outputs), b"]}"))
        if not any(output.is_binary for output in self._outputs.values()):
            return Response(encoded)
        headers = [(JSON_LENGTH, str(len(encoded)).encode())]
        return Response(b"".join([encoded, *tails]), b"application/octet-stream", headers=headers)


class _Output:
    """How an output is to be answered: in binary or not, and as how many of the most likely classes, or all (0)."""

    def __init__(self, *, is_binary: bool, class_count: int = 0) -> None:
        self.is_binary = is_binary
        self._class_count = class_count

    def encode(
        self, answer: BatchAnswer, index: int, datatype: str, rest: list[int]
    ) -> tuple[bytes, bytes]:
        """Returns the output tensor in JSON, and its binary data, which is empty where its data is in the JSON."""
        if self._class_count:
            datatype, rest = "BYTES", [min(self._class_count, *rest)]
        array = answer.arrays()[index]
        head: dict[str, Any] = {
            "name": array.name,
            "shape": [len(answer), *rest],
            "datatype": datatype,
        }
        if not self.is_binary:
            parts = (orjson.dumps(head)[:-1], b',"data":', self._json(answer, index), b"}")
            return b"".join(parts), b""
        data = encode(self._values(array), datatype)
        head["parameters"] = {"binary_data_size": len(data)}
        return orjson.dumps(head), data

    def _json(self, answer: BatchAnswer, index: int) -> bytes:
        if self._class_count:
            return orjson.dumps(self._values(answer.arrays()[index]))
        return answer.encode_array(index)

    def _values(self, array: OutputArray) -> Any:
        if self._class_count:
            return _top_classes(array, self._class_count)
        return array.values if array.classes is None else array_values(array)


def _top_classes(array: OutputArray, count: int) -> list[str]:
    """Returns the most likely classes of each row as Triton's classification extension has them: value:index:label."""
    best = np.argsort(-array.values, axis=1, kind="stable")[:, :count]
    return [
        f"{row[index]:f}:{index}:{array.keys[index]}"
        for row, indices in zip(array.values, best.tolist(), strict=True)
        for index in indices
    ]


def _requested_outputs(model: ServedModel, members: dict[str, Any]) -> dict[str, _Output]:
    """Returns the requested outputs by name. Raises Problem 400."""
    names = [name for name, _, _ in output_tensors(model.target)]
    parameters = members.get("parameters")
    is_binary = isinstance(parameters, dict) and parameters.get("binary_data_output") is True
    requested = members.get("outputs")
    if requested is None:
        return {name: _Output(is_binary=is_binary) for name in names}
    outputs = {}
    for output in requested if isinstance(requested, list) else [requested]:
        if not isinstance(output, dict) or output.get("name") not in names:
            raise tensor_error(f"the outputs are {', '.join(names)}")
        options = output.get("parameters")
        options = options if isinstance(options, dict) else {}
        outputs[output["name"]] = _Output(
            is_binary=options.get("binary_data", is_binary) is True,
            class_count=_class_count(output["name"], options),
        )
    return outputs


def _class_count(name: str, options: dict[str, Any]) -> int:
    """Returns the parameter `classification`, which Triton's clients call class_count. Raises Problem 400."""
    count = options.get("classification", 0)
    if type(count) is not int or count < 0:
        raise tensor_error("classification is a number of classes")
    if count and not name.startswith("probabilities"):
        raise tensor_error("classification is for the output probabilities")
    return count


def _read_tensors(model: ServedModel, reader: JsonReader, tail: BinaryTail) -> list[Tensor]:
    max_values = MAX_JSON_ROWS * sum(column.width for column in model.schema.columns)
    tensors: list[Tensor] = []
    for _ in reader.items():
        if len(tensors) == MAX_INPUTS:
            raise tensor_error("the request has too many inputs")
        tensors.append(read_tensor(reader, tail, max_values))
    return tensors


def _rows(model: ServedModel, tensors: list[Tensor]) -> Iterator[Rows]:
    """Yields the rows of one tensor for each column, or of a matrix of all columns of numbers and other tensors."""
    columns: dict[str, Cells] = {}
    for tensor in tensors:
        for name, cells in _columns(model.schema, tensor):
            if name in columns:
                raise tensor_error("a column comes twice")
            columns[name] = cells
    counts = {tensor.shape[0] for tensor in tensors}
    if len(counts) != 1:
        raise tensor_error("the inputs hold different numbers of rows")
    (count,) = counts
    if count > MAX_JSON_ROWS:
        raise too_many_rows()
    for start in range(0, count, STEP_ROWS):
        values = [cells(start, min(start + STEP_ROWS, count)) for cells in columns.values()]
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]
        yield validate_rows(model, rows, start)


def _columns(schema: RowSchema, tensor: Tensor) -> Iterator[tuple[str, Cells]]:
    width = tensor.width
    if len(tensor.shape) > 2:
        raise tensor_error("an input has the shape [rows], [rows, 1] or [rows, columns]")
    if tensor.name in schema.names:
        column = schema[tensor.name]
        if width != column.width:
            raise tensor_error(
                "an input named after a column has the shape [rows] or [rows, 1]; a list, [rows, its length]"
            )
        is_vector = column.kind is ColumnKind.VECTOR
        yield tensor.name, _vectors(tensor) if is_vector else _cells(column, tensor, 0)
        return
    numbers = [column for column in schema.columns if column.kind in _MATRIX_KINDS]
    if width != len(numbers) or (width == 1 and len(tensor.shape) == 1):
        raise tensor_error(
            f"an input is named after a column ({', '.join(schema.names)}), or is a matrix of all columns of numbers"
            f" and booleans, of which there are {len(numbers)}"
        )
    for index, column in enumerate(numbers):
        yield column.name, _cells(column, tensor, index)


def _vectors(tensor: Tensor) -> Cells:
    def cells(start: int, stop: int) -> list[Any]:
        columns = (tensor.column(index, start, stop) for index in range(tensor.width))
        return [list(numbers) for numbers in zip(*columns, strict=True)]

    return cells


def _cells(column: ColumnSchema, tensor: Tensor, index: int) -> Cells:
    def cells(start: int, stop: int) -> list[Any]:
        return [_value(column, value) for value in tensor.column(index, start, stop)]

    return cells


def _value(column: ColumnSchema, value: Any) -> Any:
    """Returns a value in its column's type, where a matrix or the client made a float of it."""
    if column.kind is ColumnKind.BOOLEAN and value in (0, 1):
        return bool(value)
    return value
