"""From an opened bundle to an engine that has proven itself."""

from typing import Any

import numpy as np

from windlass.core.batch import Prediction
from windlass.core.bundle import MODEL_ONNX, MODEL_PICKLE, Bundle
from windlass.core.hashing import canonical_json
from windlass.core.row_validator import RowValidator
from windlass.engines.engine import Engine
from windlass.errors import EngineError, RowsError

TOLERANCE = 1e-6


def check_reference_examples(bundle: Bundle, engine: Engine) -> None:
    """Raise EngineError unless `engine` gives every reference example its sealed answer, within 1e-6."""
    golden = bundle.json("golden.json")
    validator = RowValidator(bundle.schema.row)
    try:
        rows = validator.parse_rows(canonical_json(golden["rows"]))
    except RowsError as error:
        raise EngineError(
            f"The reference examples of {bundle.path} do not fit its own schema: {error}"
        ) from error
    if len(golden["expected"]) != len(rows):
        raise EngineError(
            f"Not every reference example of {bundle.path} has its answer. Train it again."
        )
    if not rows:
        raise EngineError(f"Bundle {bundle.path} holds no reference examples. Train it again.")
    prediction = engine.predict(validator.to_batch(rows))
    for index, expected in enumerate(golden["expected"]):
        if not _reproduces(prediction, index, expected, bundle.schema.target.classes):
            raise EngineError(
                f"Reference example {index} of bundle {bundle.path} is not reproduced by its {engine.name} engine."
                " Compare the package versions here with its environment.json, or train it again."
            )


def _reproduces(
    prediction: Prediction, index: int, expected: dict[str, Any], classes: tuple[Any, ...] | None
) -> bool:
    if prediction.values is not None:
        value = expected["value"]
        return bool(abs(prediction.values[index] - value) <= TOLERANCE * max(1.0, abs(value)))
    assert prediction.labels is not None
    assert prediction.probabilities is not None
    assert classes is not None
    same = classes[prediction.labels[index]] == expected["label"]
    close = np.allclose(
        prediction.probabilities[index], expected["probabilities"], rtol=0, atol=TOLERANCE
    )
    return bool(same and close)


def load_engine(bundle: Bundle) -> Engine:
    """The engine that the bundle's manifest names, after it has reproduced the reference examples.

    The pickle is read only where the manifest says native. Raises EngineError.
    """
    engine = open_engine(bundle)
    check_reference_examples(bundle, engine)
    return engine


def open_engine(bundle: Bundle) -> Engine:
    """The engine that the manifest names, not proven yet. Raises EngineError."""
    return _native(bundle) if bundle.manifest.engine.name == "native" else _onnx(bundle)


def _onnx(bundle: Bundle) -> Engine:
    from windlass.engines.onnx import OnnxEngine

    nullable = any(column.nullable for column in bundle.schema.row.columns)
    return OnnxEngine(bundle.read(MODEL_ONNX), nullable=nullable)


def _native(bundle: Bundle) -> Engine:
    from windlass.engines.native import NativeEngine

    return NativeEngine.load(bundle.read(MODEL_PICKLE), bundle.schema)
