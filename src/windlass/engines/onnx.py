"""The ONNX engine: a compiled pipeline in ONNX Runtime, one thread, no pickle and no scikit-learn."""

from collections.abc import Sequence

import onnxruntime as ort

from windlass.core.batch import Batch, Prediction
from windlass.errors import EngineError


class OnnxEngine:
    """Runs `model.onnx`: inputs `numeric` and `text`, outputs `label` and `probabilities`, or `value`."""

    name = "onnx"

    def __init__(self, model: bytes) -> None:
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
        outputs = {node.name for node in session.get_outputs()}
        self._numeric, self._text = "numeric" in inputs, "text" in inputs
        self._classifies = "label" in outputs
        self._names: Sequence[str] = ["label", "probabilities"] if self._classifies else ["value"]
        self._run = session.run

    def predict(self, batch: Batch) -> Prediction:
        """Predict n rows."""
        feed: dict[str, object] = {}
        if self._numeric:
            feed["numeric"] = batch.numeric
        if self._text:
            feed["text"] = batch.text
        try:
            outputs = self._run(self._names, feed)
        except Exception as error:
            raise EngineError(f"ONNX Runtime failed: {_first_line(error)}") from error
        if self._classifies:
            return Prediction(outputs[0], outputs[1])
        return Prediction(values=outputs[0])


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
