"""Compiles a fitted estimator to a serialized ONNX model with the inputs and outputs that are served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from windlass.engines.convert.compiler import ClassifierOutput, Compiler
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
from windlass.engines.convert.types import FittedEstimator, UnsupportedError


@dataclass(frozen=True)
class CompiledModel:
    """A serialized model, and the known split points of its trees by index of the numeric column."""

    model: bytes
    splits: dict[int, Array]


def compile_model(fitted: FittedEstimator) -> CompiledModel:
    """Compile ``fitted`` to ONNX. Raises ``UnsupportedError`` where there is no converter."""
    domains = [fitted.domain(name) for name in fitted.numeric_columns]
    compiler = Compiler(CONVERTERS, domains)
    graph = compiler.graph
    columns = _inputs(graph, fitted)
    if fitted.classes is None:
        value = compiler.predictions(compiler.regress(fitted.estimator, columns))
        _output(graph, graph.node("Reshape", value, graph.constant([-1])), "value")
        outputs = [helper.make_tensor_value_info("value", TensorProto.DOUBLE, ["N"])]
    else:
        scores = compiler.classify(fitted.estimator, columns)
        outputs = _class_outputs(compiler, fitted, scores)
    graph.prune([output.name for output in outputs])
    splits = {index: np.concatenate(parts) for index, parts in compiler.splits.items()}
    return CompiledModel(_serialize(graph, fitted, outputs), splits)


def class_positions(fitted: FittedEstimator) -> list[int]:
    """Return the declared position of each of the estimator's classes."""
    declared = {name: i for i, name in enumerate(fitted.classes or ())}
    try:
        return [declared[name] for name in np.asarray(fitted.estimator.classes_).tolist()]
    except KeyError as error:
        raise UnsupportedError(f"the class {error} was learned but not declared") from error


def final_name(estimator: Any) -> str:
    """Return the class name of the estimator at the end of a pipeline."""
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


def _class_outputs(
    compiler: Compiler, fitted: FittedEstimator, scores: ClassifierOutput
) -> list[onnx.ValueInfoProto]:
    """Name the outputs, in the declared order of the classes."""
    if scores.probabilities is None:
        raise UnsupportedError(f"{final_name(fitted.estimator)}: it gives no probabilities")
    graph, label = compiler.graph, scores.label
    probabilities = compiler.predictions(scores.probabilities)
    positions, count = class_positions(fitted), len(fitted.classes or ())
    if positions != list(range(count)):
        label = graph.node("Gather", graph.constant(positions), label, axis=0)
        permutation = np.zeros((len(positions), count))
        permutation[np.arange(len(positions)), positions] = 1.0
        probabilities = graph.node("MatMul", probabilities, graph.constant(permutation))
    _output(graph, label, "label")
    _output(graph, probabilities, "probabilities")
    return [
        helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
        helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, ["N", count]),
    ]


def _output(graph: Graph, name: str, public: str) -> None:
    """Rename a tensor to an output, where it is one that a node computes."""
    if any(name in node.output for node in graph.nodes):
        graph.rename(name, public)
    else:
        graph.rename(graph.node("Identity", name), public)


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
