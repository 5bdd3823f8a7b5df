"""Builder of an ONNX graph: nodes, constants, and the columns that steps pass on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

ML = "ai.onnx.ml"
OPSET = 21
ML_OPSET = 5  # the first with TreeEnsemble in float64
IR_VERSION = 10

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ValueOrigin:
    """Linear origin of a number: ``raw = slope * value + shift`` of numeric input ``index``."""

    index: int
    slope: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True)
class GraphColumn:
    """One column of a two-dimensional tensor of the graph.

    ``finite`` numbers are neither NaN nor infinite, except in rows that are rejected: where
    ``rejectable``, NaN marks such a row, and where ``bounded``, infinity does.
    """

    tensor: str
    index: int
    text: bool = False
    origin: ValueOrigin | None = None
    finite: bool = False
    rejectable: bool = False
    bounded: bool = False


Columns = tuple[GraphColumn, ...]


@dataclass(frozen=True)
class GraphValue:
    """An input or output of an inner graph; ``kind`` is an ONNX data type."""

    name: str
    kind: int
    scalar: bool = False


class Graph:
    """Collects nodes and constants; every tensor of rows has the rows on its first axis."""

    def __init__(self, prefix: str = "t") -> None:
        self._prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.widths: dict[str, int] = {}
        self._names = 0

    def new_name(self) -> str:
        """Return a new, unique tensor name."""
        self._names += 1
        return f"{self._prefix}{self._names}"

    def subgraph(self) -> Graph:
        """Return an empty graph for a branch or a loop; it may read this graph's tensors."""
        return Graph(f"{self.new_name()}_")

    def body(self, inputs: Sequence[GraphValue], outputs: Sequence[GraphValue]) -> onnx.GraphProto:
        """Return this graph as an attribute of a node that branches or loops."""
        signature = [
            [
                helper.make_tensor_value_info(v.name, v.kind, [] if v.scalar else None)
                for v in values
            ]
            for values in (inputs, outputs)
        ]
        constants = list(self.initializers.values())
        return helper.make_graph(self.nodes, self._prefix, *signature, constants)

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Append a node with one output and return the output's name."""
        return self.multi_output_node(op, inputs, 1, domain=domain, **attributes)[0]

    def multi_output_node(
        self, op: str, inputs: Sequence[str], outputs: int, *, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Append a node with several outputs and return their names."""
        names = [self.new_name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, domain=domain, **attributes))
        return names

    def constant(self, value: Any) -> str:
        """Store an array (floats become float64, integers int64) and return its name."""
        array = np.asarray(value)
        if array.dtype.kind == "f":
            array = array.astype(np.float64)
        elif array.dtype.kind in "iu":
            array = array.astype(np.int64)
        name = self.new_name()
        self.initializers[name] = tensor(array, name)
        return name

    def tensor_columns(
        self,
        name: str,
        width: int,
        origins: Sequence[ValueOrigin | None] = (),
        *,
        text: bool = False,
    ) -> Columns:
        """Return all columns of the tensor ``name`` of shape [N, ``width``]."""
        self.widths[name] = width
        column_origins = origins or [None] * width
        return tuple(GraphColumn(name, i, text, column_origins[i]) for i in range(width))

    def full(self, value: float, like: str) -> str:
        """Return a float64 column [N, 1] of one value, with as many rows as the tensor ``like``."""
        rows = self.node("Shape", like, end=1)
        shape = self.node("Concat", rows, self.constant([1]), axis=0)
        return self.node("Expand", self.constant(float(value)), shape)

    def gather(self, name: str, indices: Sequence[int], axis: int = 1) -> str:
        """Gather ``indices`` along ``axis``."""
        return self.node("Gather", name, self.constant(np.array(indices, np.int64)), axis=axis)

    def numeric_tensor(self, columns: Columns, owner: Any) -> str:
        """Return one float64 tensor [N, len(columns)]; raises UnsupportedError for text columns."""
        if any(column.text for column in columns):
            raise UnsupportedError(f"{type(owner).__name__}: a text column reaches it")
        return self.concatenate(columns)

    def concatenate(self, columns: Columns) -> str:
        """Return one tensor of the given columns, all of one kind, copying only where needed."""
        if not columns:
            raise UnsupportedError("a step gets no columns")
        runs: list[tuple[str, list[int]]] = []
        for column in columns:
            if not runs or runs[-1][0] != column.tensor:
                runs.append((column.tensor, []))
            runs[-1][1].append(column.index)
        parts = [
            name if indices == list(range(self.widths[name])) else self.gather(name, indices)
            for name, indices in runs
        ]
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=1)

    def rename(self, old: str, new: str) -> None:
        """Give the output ``old`` of some node the name ``new``, everywhere."""
        for node in self.nodes:
            for names in (node.input, node.output):
                for position, name in enumerate(names):
                    if name == old:
                        names[position] = new

    def prune(self, outputs: Sequence[str]) -> None:
        """Drop the nodes and constants that no output needs."""
        needed = set(outputs)
        nodes = []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                nodes.append(node)
                needed.update(node.input)
                needed.update(_captured(node))
        self.nodes = nodes[::-1]
        self.initializers = {k: v for k, v in self.initializers.items() if k in needed}


def _captured(node: onnx.NodeProto) -> set[str]:
    """Return the outer names that the node's subgraphs may read."""
    names: set[str] = set()
    for attribute in node.attribute:
        for inner in attribute.g.node:
            names.update(inner.input)
            names.update(_captured(inner))
        names.update(output.name for output in attribute.g.output)
    return names


def tensor(array: Array, name: str = "") -> onnx.TensorProto:
    """Return an ONNX tensor; an object array becomes a tensor of UTF-8 text."""
    if array.dtype.kind in "OU":
        values = [str(value).encode() for value in array.ravel()]
        return helper.make_tensor(name, TensorProto.STRING, array.shape, values)
    return numpy_helper.from_array(array, name)
