"""Compiles a fitted estimator to a serialized ONNX model with the inputs and outputs that are served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from windlass.engines.convert.compiler import Compiler
from windlass.engines.convert.converters import CONVERTERS
from windlass.engines.convert.graph import (
    IR_VERSION,
    ML,
    ML_OPSET,
    OPSET,
    Array,
    Columns,
    Graph,
    GraphColumn,
    ValueOrigin,
)
from windlass.engines.convert.target_outputs import target_outputs
from windlass.engines.convert.types import FittedEstimator


@dataclass(frozen=True)
class CompiledModel:
    """A serialized model, and the known split points of its trees by index of the numeric column."""

    model: bytes
    splits: dict[int, Array]


def compile_model(fitted: FittedEstimator) -> CompiledModel:
    """Compile ``fitted`` to ONNX. Raises ``UnsupportedError`` where there is no converter."""
    domains = [fitted.domain(name) for name in fitted.numeric_columns]
    text_domains = [fitted.domain(name) for name in fitted.text_columns]
    compiler = Compiler(CONVERTERS, domains, text_domains)
    graph = compiler.graph
    columns = _inputs(graph, fitted)
    outputs = target_outputs(compiler, fitted.predicted, fitted.estimator, columns)
    graph.prune([output.name for output in outputs])
    splits = {index: np.concatenate(parts) for index, parts in compiler.splits.items()}
    return CompiledModel(_serialize(graph, fitted, outputs), splits)


def final_name(estimator: Any) -> str:
    """Return the class name of the estimator at the end of a pipeline; those of a dict together."""
    if isinstance(estimator, Mapping):
        return ", ".join(dict.fromkeys(map(final_name, estimator.values())))
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[-1][1]
    return type(estimator).__name__


def _inputs(graph: Graph, fitted: FittedEstimator) -> Columns:
    """Return the row's columns in declared order, as parts of the model's inputs."""
    graph.widths.update(numeric=len(fitted.numeric_columns), text=len(fitted.text_columns))
    next_index = {"numeric": 0, "text": 0}
    columns = []
    for name in fitted.columns:
        text = name in fitted.text
        kind = "text" if text else "numeric"
        index = next_index[kind]
        columns.append(GraphColumn(kind, index, text, None if text else ValueOrigin(index)))
        next_index[kind] += 1
    return tuple(columns)


def _serialize(graph: Graph, fitted: FittedEstimator, outputs: list[onnx.ValueInfoProto]) -> bytes:
    kinds = [
        ("numeric", TensorProto.DOUBLE, len(fitted.numeric_columns)),
        ("text", TensorProto.STRING, len(fitted.text_columns)),
    ]
    inputs = [helper.make_tensor_value_info(n, kind, ["N", k]) for n, kind, k in kinds if k]
    onnx_graph = helper.make_graph(
        graph.nodes, "windlass", inputs, outputs, list(graph.initializers.values())
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
    model = helper.make_model(
        onnx_graph, producer_name="windlass", opset_imports=opsets, ir_version=IR_VERSION
    )
    serialized: bytes = model.SerializeToString()
    return serialized
