"""The ONNX engine: runs the converted pipeline in ONNX Runtime, on one thread, without scikit-learn or pickle."""

from collections.abc import Callable, Sequence
from typing import Any

import onnxruntime as ort

from windlass.core.batch import Batch, Prediction
from windlass.errors import EngineError

MAX_ROWS = 1024  # of one run: nearest neighbours need memory for each row with every training row


class OnnxEngine:
    """Runs `model.onnx`: inputs `numeric` and `text`, outputs `label` and `probabilities`, or `value`.

    Several outputs have these each, with their number: `label_0`.
    """

    name = "onnx"

    def __init__(self, model: bytes) -> None:
        """Load a serialized model. Raises EngineError where ONNX Runtime cannot load it."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # freed memory goes back after a large batch; a service's memory is bounded by its requests
        options.enable_cpu_mem_arena = False
        try:
            session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise EngineError(
                f"ONNX Runtime cannot load the model: {_first_line(error)}"
            ) from error
        inputs = {node.name for node in session.get_inputs()}
        self._numeric, self._text = "numeric" in inputs, "text" in inputs
        self._outputs = [node.name for node in session.get_outputs()]
        self._classifies = self._outputs == ["label", "probabilities"]
        self._read = output_reader(self._outputs)
        self._run = run_function(session)
        # made once: each call would make its own, a tenth of a small model's time
        self._run_options = ort.RunOptions()

    def predict(self, batch: Batch) -> Prediction:
        """Predict n rows; those that the model rejects get NaN.

        Raises EngineError where ONNX Runtime fails: a compiled model raises for no row, as compared rows show.
        """
        if len(batch) <= MAX_ROWS:
            return self._predict(batch)
        starts = range(0, len(batch), MAX_ROWS)
        return Prediction.concat([self.predict(batch.slice(at, at + MAX_ROWS)) for at in starts])

    def _predict(self, batch: Batch) -> Prediction:
        feed: dict[str, object] = {}
        if self._numeric:
            feed["numeric"] = batch.numeric
        if self._text:
            feed["text"] = batch.text
        try:
            outputs = self._run(self._outputs, feed, self._run_options)
        except Exception as error:
            raise EngineError(f"ONNX Runtime failed: {_first_line(error)}") from error
        if self._classifies:
            return Prediction(outputs[0], outputs[1])
        return self._read(outputs)


def output_reader(names: Sequence[str]) -> Callable[[Sequence[Any]], Prediction]:
    """Return the function that makes a prediction of a model's outputs, which have these names."""
    if list(names) == ["label", "probabilities"]:
        return lambda outputs: Prediction(outputs[0], outputs[1])
    if list(names) == ["value"]:
        return lambda outputs: Prediction(values=outputs[0])
    numbers = dict.fromkeys(name.rpartition("_")[2] for name in names)
    parts = [
        [index for index, name in enumerate(names) if name.rpartition("_")[2] == number]
        for number in numbers
    ]

    def read(outputs: Sequence[Any]) -> Prediction:
        arrays = ([outputs[index] for index in part] for part in parts)
        return Prediction(
            outputs=tuple(
                Prediction(*part) if len(part) == 2 else Prediction(values=part[0])
                for part in arrays
            )
        )

    return read


def run_function(session: ort.InferenceSession) -> Callable[..., Sequence[Any]]:
    """Return the function that runs a session, called with output names, inputs by name and run options.

    `session.run` checks its arguments and then calls `session._sess.run`; the check takes a fifth of a
    small model's time. The attribute is private: where a version of ONNX Runtime lacks it, `session.run`
    is used.
    """
    private = getattr(session, "_sess", None)
    run: Callable[..., Sequence[Any]] = getattr(private, "run", session.run)
    return run


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
