"""Boosters (XGBoost, LightGBM, CatBoost) as scikit-learn estimators that take text labels and text columns."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from inspect import signature
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

Array = npt.NDArray[Any]

LIBRARIES = ("catboost", "lightgbm", "xgboost")
_MAX_DENSE_CELLS = 100_000_000  # of training; a larger sparse matrix stays sparse
_NO_CATEGORY = -1  # CatBoost's code of a missing or unknown category: it takes no NaN there
_ROUNDS = (
    "early_stopping", "early_stopping_round", "early_stopping_rounds", "n_iter_no_change",
    "od_pval", "od_wait", "use_best_model",
)  # fmt: skip


def library_of(estimator: Any) -> str | None:
    """Return the library of a booster, by its class or a base class; None for any other estimator."""
    if isinstance(estimator, type) or not hasattr(estimator, "fit"):
        return None
    modules = [kind.__module__.partition(".")[0] for kind in type(estimator).__mro__]
    return next((name for name in modules if name in LIBRARIES), None)


def encode_boosters(estimator: Any) -> Any:
    """Return an unfitted estimator in which every booster, itself or a nested one, encodes text."""
    if library_of(estimator) is not None:
        return _encoded(estimator)
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        return estimator
    for name, value in estimator.get_params(deep=True).items():
        if library_of(value) is not None:
            estimator.set_params(**{name: _encoded(value)})
    return estimator


def _encoded(booster: Any) -> Any:
    if type(booster).__name__.endswith("Ranker"):
        return booster
    is_classifier = hasattr(booster, "predict_proba")
    return EncodedClassifier(booster) if is_classifier else EncodedRegressor(booster)


def early_stopping(estimator: Any) -> dict[str, str]:
    """Return the boosters that stop early: the name of the parameter that says so, by that of the booster."""
    if isinstance(estimator, EncodedBooster):
        candidates = {"": estimator}
    elif hasattr(estimator, "get_params"):
        parameters = estimator.get_params(deep=True)
        candidates = {n: v for n, v in parameters.items() if isinstance(v, EncodedBooster)}
    else:
        candidates = {}
    options = {name: booster.early_stopping_option() for name, booster in candidates.items()}
    return {name: option for name, option in options.items() if option is not None}


class EncodedBooster(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Fits a booster to numbers, and to codes of the text columns and of the labels.

    Text columns become categories, with the codes of the values seen in training, in sorted order; a missing or
    an unknown value is missing. `estimator` is an unfitted booster, of which a copy is fitted.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def set_params(self, **params: Any) -> EncodedBooster:
        """Set parameters; those that are not this estimator's own are the booster's."""
        own = {k: v for k, v in params.items() if k.partition("__")[0] == "estimator"}
        super().set_params(**own)
        rest = {k: v for k, v in params.items() if k not in own}
        if rest:
            self.estimator.set_params(**rest)
        return self

    def __sklearn_clone__(self) -> EncodedBooster:
        """Return an unfitted copy; scikit-learn's `clone` refuses a CatBoost with a list among its parameters."""
        return type(self)(deepcopy(self.estimator))

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: text, missing values and sparse matrices are accepted."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.sparse = True
        tags.input_tags.categorical = True
        return tags

    @property
    def library(self) -> str:
        """Name of the booster's library."""
        return library_of(self.estimator) or ""

    def early_stopping_option(self) -> str | None:
        """Return the parameter of the booster that makes it stop early, or None."""
        params = self.estimator.get_params()
        for name in _ROUNDS:
            if params.get(name):
                return name
        stops = [each for each in params.get("callbacks") or () if "EarlyStopping" in repr(each)]
        return "callbacks" if stops or params.get("od_type") == "IncToDec" else None

    def fit(self, X: Any, y: Any, *, eval_set: tuple[Any, Any] | None = None, **params: Any) -> Any:
        """Fit a copy of the booster to rows [n, k] and targets [n]; `eval_set` are rows and targets for early stopping.

        Further keywords, such as `sample_weight`, go to the booster's own `fit`.
        """
        self.sparse_ = _is_sparse(X) and X.shape[0] * X.shape[1] > _MAX_DENSE_CELLS
        self.booster_ = deepcopy(self.estimator)
        self.n_features_in_ = X.shape[1]
        if isinstance(X, pd.DataFrame):
            self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.categories_ = {} if _is_sparse(X) else _categories(X, self._declared_categories())
        codes = self._encode_target(np.asarray(y))
        params |= self._settings()
        if eval_set is not None:
            rows, target = eval_set
            params |= self._validation(
                self.encode_rows(rows), self._target_codes(np.asarray(target))
            )
        self.booster_.fit(self.encode_rows(X), codes, **params)
        self._use_one_thread()
        return self

    def _declared_categories(self) -> list[int]:
        """Return the positions of CatBoost's own `cat_features`, which may be names."""
        declared = self.estimator.get_params().get("cat_features") or []
        names = list(getattr(self, "feature_names_in_", ()))
        return [names.index(each) if isinstance(each, str) else int(each) for each in declared]

    def _encode_target(self, y: Array) -> Array:
        return np.asarray(y, np.float64)

    def _target_codes(self, y: Array) -> Array:
        return np.asarray(y, np.float64)

    def _settings(self) -> dict[str, Any]:
        """Adjust the copy, where the user left it open, and return arguments of its `fit`."""
        given = self.booster_.get_params()
        if self.library == "xgboost":
            if given.get("n_jobs") is None:
                self.booster_.set_params(n_jobs=1)
            if self.categories_:
                kinds = ["c" if i in self.categories_ else "q" for i in range(self.n_features_in_)]
                self.booster_.set_params(enable_categorical=True, feature_types=kinds)
            return {"verbose": False}
        if self.library == "lightgbm":
            defaults = {"n_jobs": 1, "verbosity": -1, "deterministic": True, "force_row_wise": True}
            if {"force_col_wise", "verbose", "num_threads"} & given.keys():
                defaults = {"n_jobs": 1}
            missing = {k: v for k, v in defaults.items() if given.get(k) is None}
            self.booster_.set_params(**missing)
            return {"categorical_feature": sorted(self.categories_)} if self.categories_ else {}
        quiet = {"verbose", "logging_level", "silent", "verbose_eval"} & given.keys()
        self.booster_.set_params(
            **({} if quiet else {"logging_level": "Silent"}),
            **({} if "thread_count" in given else {"thread_count": 1}),
            **({} if "allow_writing_files" in given else {"allow_writing_files": False}),
            **({"cat_features": sorted(self.categories_)} if self.categories_ else {}),
        )
        return {}

    def _validation(self, rows: Any, codes: Array) -> dict[str, Any]:
        """Return the arguments of the booster's `fit` for rows to validate on."""
        if "eval_X" in signature(self.booster_.fit).parameters:  # LightGBM from 4.7
            return {"eval_X": rows, "eval_y": codes}
        part = rows, codes
        return {"eval_set": part if self.library == "catboost" else [part]}

    def encode_rows(self, X: Any) -> Any:
        """Return rows as the booster takes them: float64 [n, k], for CatBoost with categories a data frame."""
        if _is_sparse(X):
            return X.tocsr() if self.sparse_ else X.toarray()
        if not self.categories_:
            return np.asarray(X, np.float64)
        frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X, object))
        coded = {i: self._column(i, frame.iloc[:, i]) for i in range(frame.shape[1])}
        if self.library == "catboost":
            return pd.DataFrame(coded)
        return np.column_stack(list(coded.values()))

    def _column(self, index: int, values: Any) -> Array:
        if index not in self.categories_:
            return np.asarray(values, np.float64)
        codes = pd.Index(self.categories_[index]).get_indexer(pd.Index(values.to_numpy(object)))
        if self.library == "catboost":
            return np.where(codes < 0, _NO_CATEGORY, codes)
        return np.where(codes < 0, np.nan, codes)

    def _use_one_thread(self) -> None:
        """Predict on one thread: a server runs requests beside each other."""
        if self.library == "xgboost":
            self.booster_.get_booster().set_param({"nthread": 1})
        elif self.library == "lightgbm":
            self.booster_.set_params(n_jobs=1)

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Restore a pickled estimator."""
        super().__setstate__(state)
        if hasattr(self, "booster_"):
            self._use_one_thread()

    def _options(self) -> dict[str, int]:
        return {"thread_count": 1} if self.library == "catboost" else {}

    @property
    def best_iteration_(self) -> int | None:
        """The iteration, from 0, whose trees are the last that count, where the booster stopped early."""
        name = "best_iteration" if self.library == "xgboost" else "best_iteration_"
        number = getattr(self.booster_, name, None)
        # LightGBM counts from 1
        return None if number is None else int(number) - (self.library == "lightgbm")

    @property
    def feature_importances_(self) -> Array:
        """The booster's importances of its columns, float64 [k]."""
        check_is_fitted(self, "booster_")
        return np.asarray(self.booster_.feature_importances_, np.float64)


class EncodedClassifier(ClassifierMixin, EncodedBooster):  # type: ignore[misc]  # no types
    """A booster that classifies; its labels may be of any type that can be sorted."""

    def _encode_target(self, y: Array) -> Array:
        self.classes_, codes = np.unique(y, return_inverse=True)
        for name in ("class_weight", "class_weights"):
            weights = self.booster_.get_params().get(name)
            if isinstance(weights, Mapping):
                by_code = {
                    i: weights[c] for i, c in enumerate(self.classes_.tolist()) if c in weights
                }
                self.booster_.set_params(**{name: by_code})
        return codes

    def _target_codes(self, y: Array) -> Array:
        return np.searchsorted(self.classes_, y)

    def predict(self, X: Any) -> Array:
        """Return labels [n]."""
        check_is_fitted(self, "booster_")
        predicted = self.booster_.predict(self.encode_rows(X), **self._options())
        labels: Array = self.classes_[np.asarray(predicted).reshape(-1).astype(np.int64)]
        return labels

    def predict_proba(self, X: Any) -> Array:
        """Return probabilities float64 [n, c], classes in the order of `classes_`."""
        check_is_fitted(self, "booster_")
        rows = self.encode_rows(X)
        return np.asarray(self.booster_.predict_proba(rows, **self._options()), np.float64)


class EncodedRegressor(RegressorMixin, EncodedBooster):  # type: ignore[misc]  # no types
    """A booster that predicts numbers."""

    def predict(self, X: Any) -> Array:
        """Return values float64 [n]."""
        check_is_fitted(self, "booster_")
        predicted = self.booster_.predict(self.encode_rows(X), **self._options())
        return np.asarray(predicted, np.float64)


def _is_sparse(X: Any) -> bool:
    return hasattr(X, "tocsr")


def _categories(X: Any, declared: list[int]) -> dict[int, list[Any]]:
    """Return the sorted values of every text column, and of the declared ones, by position."""
    frame = X if isinstance(X, pd.DataFrame) else None
    if frame is None:
        if np.asarray(X).dtype.kind not in "OU" and not declared:
            return {}
        frame = pd.DataFrame(np.asarray(X, object))
    result = {}
    for index in range(frame.shape[1]):
        column = frame.iloc[:, index]
        values = column.dropna().unique().tolist()
        is_text = column.dtype.kind not in "biuf" and any(isinstance(v, str) for v in values)
        if is_text or index in declared:
            result[index] = sorted(values, key=lambda value: (isinstance(value, str), value))
    return result
