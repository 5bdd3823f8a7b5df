"""Converts steps without a converter of our own through skl2onnx, in float64."""

from __future__ import annotations

import importlib
from typing import Any

import onnx
from onnx import compose

from windlass.engines.convert.compiler import ClassifierOutput, Compiler
from windlass.engines.convert.graph import ML, OPSET, Columns
from windlass.engines.convert.types import UnsupportedError

_ML_OPSET = 3  # the newest that skl2onnx writes
_DOUBLE = onnx.TensorProto.DOUBLE


def transform(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append a transformer through skl2onnx."""
    output = _embed(compiler, step, columns)[0]
    width = getattr(step, "_n_features_out", None) or len(step.get_feature_names_out())
    return compiler.graph.tensor_columns(output, int(width))


def classify(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append a classifier through skl2onnx; its label is the first most probable class."""
    outputs = _embed(compiler, model, columns)
    return ClassifierOutput.from_probabilities(compiler.graph, outputs[1])


def regress(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append a regressor through skl2onnx."""
    return _embed(compiler, model, columns)[0]


def _embed(compiler: Compiler, step: Any, columns: Columns) -> list[str]:
    """Convert one step, copy its nodes into the graph and return its outputs as float64."""
    graph = compiler.graph
    model = _skl2onnx(step, len(columns))
    rows = graph.numeric_tensor(columns, step)
    prefix = graph.new_name() + "_"
    model = compose.add_prefix(model, prefix)
    entry = onnx.helper.make_node("Identity", [rows], [model.graph.input[0].name])
    graph.nodes.append(entry)
    graph.nodes.extend(model.graph.node)
    graph.initializers.update({t.name: t for t in model.graph.initializer})
    names = [output.name for output in model.graph.output]
    # Labels may be text; they are taken from the probabilities, so only numbers are cast.
    numbers = names[1:] if len(names) > 1 else names
    return names[: len(names) - len(numbers)] + [
        graph.node("Cast", name, to=_DOUBLE) for name in numbers
    ]


def _skl2onnx(step: Any, width: int) -> onnx.ModelProto:
    name = type(step).__name__
    if not type(step).__module__.startswith("sklearn."):
        raise UnsupportedError(f"{name}: no converter")
    try:
        skl2onnx = importlib.import_module("skl2onnx")
    except ImportError as error:
        raise UnsupportedError(f"{name}: no converter, and skl2onnx is not installed") from error
    types = importlib.import_module("skl2onnx.common.data_types")
    inputs = [("rows", types.DoubleTensorType([None, width]))]
    options = {id(step): {"zipmap": False}} if hasattr(step, "classes_") else None
    try:
        model: onnx.ModelProto = skl2onnx.convert_sklearn(
            step, initial_types=inputs, options=options, target_opset={"": OPSET, ML: _ML_OPSET}
        )
    except Exception as error:  # it raises whatever its converters raise
        raise UnsupportedError(f"{name}: skl2onnx: {type(error).__name__}") from error
    if model.functions:
        raise UnsupportedError(f"{name}: skl2onnx wrote functions")
    if any(node.op_type.startswith("TreeEnsemble") for node in model.graph.node):
        raise UnsupportedError(f"{name}: skl2onnx adds its trees up in float32")
    return model
