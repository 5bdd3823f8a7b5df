"""The protocol of an engine, and the opening of a bundle's engine, checked on its reference examples."""

from typing import Protocol

from windlass.core.batch import Batch, Prediction
from windlass.core.bundle import MODEL_ONNX, MODEL_PICKLE, Bundle
from windlass.core.hashing import canonical_json
from windlass.core.row_validator import RowValidator
from windlass.errors import EngineError, RowsError


class Engine(Protocol):
    """Predicts rows.

    The same rows give the same prediction, alone or in a batch. Safe to call from several threads.
    """

    name: str

    def predict(self, batch: Batch) -> Prediction:
        """Predict n rows; those that the model rejects get NaN or infinity.

        Raises EngineError where the engine itself fails, whatever the rows.
        """


def check_reference_examples(bundle: Bundle, engine: Engine) -> None:
    """Check that an engine reproduces the expected answers of the bundle's `golden.json`, within 1e-6.

    Raises EngineError where it does not, or where the bundle holds no usable examples.
    """
    examples = bundle.json("golden.json")
    validator = RowValidator(bundle.schema.row)
    try:
        rows = validator.parse_rows(canonical_json(examples["rows"]))
    except RowsError as error:
        raise EngineError(
            f"The reference examples of {bundle.path} do not fit its own schema: {error}"
        ) from error
    if len(examples["expected"]) != len(rows):
        raise EngineError(
            f"Not every reference example of {bundle.path} has an expected answer. Train it again."
        )
    if not rows:
        raise EngineError(f"Bundle {bundle.path} holds no reference examples. Train it again.")
    prediction = engine.predict(validator.to_batch(rows))
    target = bundle.target
    for index, expected in enumerate(examples["expected"]):
        if not target.reproduces(prediction, index, expected):
            raise EngineError(
                f"Reference example {index} of bundle {bundle.path} is not reproduced by its {engine.name} engine."
                " Compare the package versions here with its environment.json, or train it again."
            )


def load_engine(bundle: Bundle) -> Engine:
    """Open the engine that the bundle's manifest names, and check it on the reference examples.

    The pickle is read only where the manifest says native. Raises EngineError.
    """
    engine = open_engine(bundle)
    check_reference_examples(bundle, engine)
    return engine


def open_engine(bundle: Bundle) -> Engine:
    """Open the engine that the manifest names, without a check. Raises EngineError."""
    return _native(bundle) if bundle.manifest.engine.name == "native" else _onnx(bundle)


def _onnx(bundle: Bundle) -> Engine:
    from windlass.engines.onnx import OnnxEngine

    return OnnxEngine(bundle.read(MODEL_ONNX))


def _native(bundle: Bundle) -> Engine:
    from windlass.engines.native import NativeEngine

    return NativeEngine.from_pickle(bundle.read(MODEL_PICKLE), bundle.schema)
