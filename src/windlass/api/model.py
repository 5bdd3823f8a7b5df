"""`windlass.load`: a model in memory, which predicts rows as a server of the same version does."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from windlass.api.rows import ValidRows, describe_faults, read_rows
from windlass.core.batch import Batch, Prediction
from windlass.core.bundle import Bundle
from windlass.core.bundle_trust import BundleTrust
from windlass.core.display import Metrics, ModelCard, html_table
from windlass.core.leading_metrics import order_metrics
from windlass.core.row_schema import RowSchema
from windlass.core.row_validator import RowValidator
from windlass.core.targets.target import Label
from windlass.engines.loader import load_engine
from windlass.engines.rejection import RejectionExplainer
from windlass.errors import EngineError, ParameterError, RejectedRowsError, VersionWarning
from windlass.settings import parse_digests
from windlass.tables.writer import prediction_table
from windlass.workflows.project_lookup import settings_near
from windlass.workflows.scoring.scored_bundle import resolve_scored_bundle

_PROBABILITY = "probability_"  # begins the names of columns of probabilities


def load(
    target: str | Path = ".",
    version: str | int | None = None,
    *,
    allow_pickle: bool | None = None,
    digest: str | None = None,
) -> "Model":
    """Loads the version of a project that is in production, or the bundle in a folder.

    Args:
        target: Name or folder of a project in the registry; or the folder of a bundle, or of a project that the
            registry does not know, whose `artifacts` then holds the bundle.
        version: Version of the project, such as `"v3"` or `3`. Without it, the version in production. Any other stage
            is loaded only by name, with a `VersionWarning`.
        allow_pickle: Whether a bundle that is named by path may be unpickled, where it has no ONNX model: its pickle is
            code of whoever wrote the folder. Default: WINDLASS_ALLOW_PICKLE. Approved versions need no permission.
        digest: Digest that a bundle named by path must have. Default: WINDLASS_DIGEST.

    Returns:
        The model, checked on its reference examples.

    Raises:
        RegistryError: No version is in production, and none is named; `UnknownError` for an unknown name.
        BundleError: There is no bundle; `IntegrityError` where it was altered, or is not the trusted one.
        SettingsError: The bundle would have to be unpickled.
        EngineError: The model cannot be loaded here, or does not reproduce its reference examples.
    """
    settings = settings_near(Path(target))
    if allow_pickle is not None:
        settings = replace(settings, allow_pickle=allow_pickle)
    if digest is not None:
        settings = replace(settings, digests=parse_digests(digest, "digest"))
    names = [] if version is None else [version_name(version)]
    scored = resolve_scored_bundle(Path(target), names, BundleTrust.from_settings(settings))
    if scored.warning is not None:
        warnings.warn(scored.warning, VersionWarning, stacklevel=2)
    return Model(scored.bundle)


def version_name(version: str | int) -> str:
    """Returns the name of a version, `v3` for 3."""
    return f"v{version}" if isinstance(version, int) else version


class Model:
    """Model of one version, in memory.

    It validates, predicts and rounds as the server does: `predict` and `predict_proba` give the answers of
    `/predict_batch`. Nothing is written to the ledger. It is safe to use from several threads.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Loads the engine of an opened bundle, and checks it on the reference examples. Raises EngineError."""
        self._bundle = bundle
        self._engine = load_engine(bundle)
        self._rejections = RejectionExplainer(self._engine.predict, bundle)
        self._validator = RowValidator(bundle.schema.row)
        self._target = bundle.target
        self._example: dict[str, Any] = min(
            bundle.json("golden.json")["rows"], key=lambda row: list(row.values()).count(None)
        )
        self._texts: dict[str, bytes] = {
            name: bundle.read(name)
            for name in ("metrics.json", "params.json", "card.md")
            if name in bundle.manifest.files
        }

    @property
    def project(self) -> str:
        """Name of the project."""
        return self._bundle.manifest.project

    @property
    def version(self) -> str:
        """Name of the version, such as `v3`; of a bundle that no registry has, 12 digits of its model's hash."""
        return self._bundle.version

    @property
    def digest(self) -> str:
        """Digest of the bundle: SHA-256, 64 hexadecimal digits."""
        return self._bundle.digest

    @property
    def engine(self) -> str:
        """Engine that predicts: `onnx` or `native`."""
        return self._bundle.manifest.engine.name

    @property
    def metrics(self) -> Metrics:
        """Metrics on the test rows, by name; first those of the gates and those that suit the target."""
        return Metrics(order_metrics(self._json("metrics.json"), self._bundle.rules))

    @property
    def params(self) -> dict[str, Any]:
        """Arguments of the training, with every hyperparameter."""
        return self._json("params.json")

    @property
    def card(self) -> ModelCard:
        """Model card, in Markdown."""
        return ModelCard(self._texts.get("card.md", b"").decode("utf-8"))

    @property
    def example(self) -> dict[str, Any]:
        """One valid row of the test set: a value by column, as JSON has it."""
        return dict(self._example)

    @property
    def schema(self) -> RowSchema:
        """Schema of a row: the columns with their kinds, units and ranges."""
        return self._bundle.schema.row

    @property
    def classes(self) -> tuple[Label, ...] | None:
        """Classes in the order of all probabilities; None for another kind of target."""
        return self._bundle.schema.target.classes

    def predict(self, rows: object) -> Any:
        """Predicts each row: a class, or a value.

        Args:
            rows: A data frame (pandas, Polars or Arrow) [n, k], a list of dicts or of `Row`s [n], one dict, or the path
                of a CSV, Parquet or Arrow file.

        Returns:
            As many predictions as there are rows, in their order: a pandas Series with the frame's index, a Polars
            Series, an Arrow array, a list, or the prediction itself for one dict. Of a file a pandas Series. Of several
            outputs a frame with a column for each, `prediction_<output>`, or a dict for each row.

        Raises:
            RowsError: Rows do not fit the schema; its message and its `faults` name rows, counted from 0, and columns.
            RejectedRowsError: The model has no prediction for valid rows; the same.
            InputError: The rows, or the file, cannot be read.
        """
        valid = read_rows(self._validator, rows)
        prediction = self._predict(valid)
        if valid.source.kind is None:
            return valid.source.answers(self._target.predictions(prediction))
        table = prediction_table(prediction, self._target)
        names = [name for name in table.schema.names if not name.startswith(_PROBABILITY)]
        if len(names) == 1:
            return valid.source.column(names[0], table.column(names[0]))
        return valid.source.table(table.select(names))

    def predict_proba(self, rows: object) -> Any:
        """Predicts the probability of each class for each row.

        Args:
            rows: As for `predict`.

        Returns:
            A frame of the same library [n, c] with a column for each class, in the order of `classes`; of pandas with
            the index of `rows`. For dicts a list of dicts, or one dict. Of a file a pandas frame. The names of classes
            are text, as in `/predict_batch`.

        Raises:
            ParameterError: The model predicts no classes, such as a quantity.
            RowsError, RejectedRowsError, InputError: As for `predict`.
        """
        valid = read_rows(self._validator, rows)
        prediction = self._predict(valid)
        answers = self._target.batch_answer(prediction).get("class_probabilities")
        if answers is None:
            raise ParameterError(
                f"{self.project} {self.version} predicts {self._target.name} without classes, and so without"
                " probabilities. Use predict."
            )
        if valid.source.kind is None:
            return valid.source.answers(answers)
        table = prediction_table(prediction, self._target)
        names = [name for name in table.schema.names if name.startswith(_PROBABILITY)]
        bare = [name.removeprefix(_PROBABILITY) for name in names]
        return valid.source.table(table.select(names).rename_columns(bare))

    def _predict(self, rows: ValidRows) -> Prediction:
        predictions = [self._engine.predict(batch) for batch in rows.batches]
        prediction = Prediction.concat(predictions)
        if len(prediction) != sum(map(len, rows.batches)):
            raise EngineError(
                f"The {self.engine} engine of {self.project} {self.version} did not predict every row. This is a fault"
                " of Windlass; please report it."
            )
        if not prediction.is_finite():
            error = self._rejections.error(Batch.concat(rows.batches), prediction)
            if rows.source.is_single:
                faults = [{**fault, "loc": fault["loc"][1:]} for fault in error.faults]
                raise RejectedRowsError(faults)
            count = len(prediction) - int(prediction.finite_rows().sum())
            message = describe_faults(error.faults, count, "have no prediction")
            raise RejectedRowsError(error.faults, message=message)
        return prediction

    def _json(self, name: str) -> dict[str, Any]:
        import json

        content: dict[str, Any] = json.loads(self._texts.get(name, b"{}"))
        return content

    def __repr__(self) -> str:
        return f"<Model {self.project} {self.version} ({self.engine})>"

    def _repr_html_(self) -> str:
        facts: Mapping[str, object] = {
            "version": self.version,
            "model": self.params.get("model", ""),
            "engine": self.engine,
            "target": self._target.name,
            "columns": ", ".join(self.schema.names),
            "digest": self.digest,
        }
        return html_table(("", ""), facts.items(), f"Model {self.project} {self.version}")
