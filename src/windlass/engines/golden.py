"""Golden rows: what a bundle was sealed with, and what its engine must reproduce before it serves."""

from typing import Any

import numpy as np

from windlass.core.batch import Prediction
from windlass.core.bundle import Bundle
from windlass.core.digest import canonical
from windlass.core.validation import RowValidator
from windlass.engines.base import Engine
from windlass.errors import EngineError, RowsError

TOLERANCE = 1e-6


def prove(bundle: Bundle, engine: Engine) -> None:
    """Raise EngineError unless `engine` gives every golden row its sealed answer, within 1e-6."""
    golden = bundle.json("golden.json")
    validator = RowValidator(bundle.schema.row)
    try:
        rows = validator.rows(canonical(golden["rows"]))
    except RowsError as error:
        raise EngineError(
            f"The golden rows of {bundle.path} do not fit its own schema: {error}"
        ) from error
    if len(golden["expected"]) != len(rows):
        raise EngineError(f"Not every golden row of {bundle.path} has its answer. Train it again.")
    if not rows:
        raise EngineError(f"Bundle {bundle.path} holds no golden rows. Train it again.")
    prediction = engine.predict(validator.batch(rows))
    for index, expected in enumerate(golden["expected"]):
        if not _agrees(prediction, index, expected, bundle.schema.target.classes):
            raise EngineError(
                f"Golden row {index} of bundle {bundle.path} is not reproduced by its {engine.name} engine."
                " Compare the package versions here with its environment.json, or train it again."
            )


def _agrees(
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
