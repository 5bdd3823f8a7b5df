"""The same model behind LitServe, one worker: `python litserve_joblib.py PORT`. MODEL names the pickle."""
# mypy: disable-error-code="import-not-found,misc"
# LitServe is not installed where this is checked.

import os
import sys

import joblib
import litserve


class Iris(litserve.LitAPI):
    """Scores one list of four measurements."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe passes it
        """Loads the pickle in the worker."""
        self.model = joblib.load(os.environ["MODEL"])

    def decode_request(self, request: dict[str, list[float]]) -> list[float]:
        """Returns the measurements of a request."""
        return request["row"]

    def predict(self, row: list[float]) -> list[float]:
        """Returns a probability for each class."""
        shares: list[float] = self.model.predict_proba([row])[0].tolist()
        return shares

    def encode_response(self, shares: list[float]) -> dict[str, object]:
        """Returns the most probable class, and all probabilities."""
        classes = self.model.classes_.tolist()
        return {
            "predicted_label": classes[shares.index(max(shares))],
            "class_probabilities": dict(zip(classes, shares, strict=True)),
        }


if __name__ == "__main__":
    server = litserve.LitServer(Iris(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )
