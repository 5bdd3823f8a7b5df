from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder
from sklearn.tree import DecisionTreeClassifier

WORDS = ["colour", "job"]
ENCODERS = [
    OneHotEncoder(handle_unknown="ignore"),
    OneHotEncoder(handle_unknown="error"),
    OneHotEncoder(handle_unknown="ignore", drop="first"),
    OneHotEncoder(handle_unknown="ignore", drop="if_binary", sparse_output=False),
    OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20),
    OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=3, drop="first"),
    OneHotEncoder(handle_unknown="warn", min_frequency=20),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=-2
    ),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=99, min_frequency=20),
    TargetEncoder(cv=StratifiedKFold(3)),
]


@pytest.mark.parametrize("encoder", ENCODERS, ids=repr)
@pytest.mark.parametrize("columns", [WORDS, ["member", "age"], ["job", "age", "colour"], ["job"]])
@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_encoders(encoder: Any, columns: Any, mixed: Any, convert_exactly: Any) -> None:
    rows, target = mixed
    model = make_pipeline(encoder, DecisionTreeClassifier(max_depth=8, random_state=0))
    convert_exactly(model, (rows[columns], target))


@pytest.mark.parametrize(("categories", "tables"), [(20, 1), (400, 2)])
def test_a_large_table_is_split_by_column(
    convert_exactly: Any, categories: int, tables: int
) -> None:
    random = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            name: [f"{name} {n}" for n in random.permutation(2 * categories) % categories]
            for name in WORDS
        }
    )
    rows.iloc[::30] = np.nan
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    converted = convert_exactly(model, (rows, random.integers(0, 2, len(rows))))
    assert converted.model.count(b"LabelEncoder") == tables


def test_text_that_no_encoder_takes_is_native(mixed: Any, native_reason: Any) -> None:
    rows, target = mixed
    steps = make_column_transformer(
        (SimpleImputer(strategy="most_frequent"), WORDS), (SimpleImputer(), ["age"])
    )

    class Blind(DecisionTreeClassifier):  # type: ignore[misc]  # scikit-learn ships no types
        """Throws the text away, as no scikit-learn class would."""

        def fit(self, X: Any, y: Any) -> Any:
            return super().fit(X[:, -1:].astype(float), y)

        def predict_proba(self, X: Any) -> Any:
            return super().predict_proba(X[:, -1:].astype(float))

    assert "Blind" in native_reason(make_pipeline(steps, Blind()), (rows, target))


@pytest.mark.parametrize(
    "encoder", [OneHotEncoder(drop="first"), OneHotEncoder(), OrdinalEncoder()], ids=repr
)
@pytest.mark.parametrize("columns", [["colour"], WORDS])
def test_what_an_encoder_rejects_reaches_no_tree(
    encoder: Any, columns: list[str], compare_rows: Any
) -> None:
    # a tree takes NaN, and with one category nothing is left of the column that is dropped
    rows = pd.DataFrame({"colour": ["red"] * 8, "job": [*"abababab"], "age": np.arange(8.0)})
    steps = ColumnTransformer(
        [("words", encoder, columns), ("numbers", "passthrough", ["age"])],
        transformer_weights={"words": 0.5},
    )
    model = make_pipeline(steps, DecisionTreeClassifier(random_state=0))
    special = pd.DataFrame({"colour": ["red", "blue"], "job": ["a", "a"], "age": [1.0, 1.0]})
    assert compare_rows(model, (rows, rows.age > 3), special) == 1


@pytest.mark.parametrize(
    "encoder", [OneHotEncoder(), OrdinalEncoder(encoded_missing_value=-1)], ids=repr
)
def test_a_missing_number_is_a_category_of_several_columns(encoder: Any, compare_rows: Any) -> None:
    rows = pd.DataFrame({"a": [0.0, 1.0, np.nan] * 8, "b": [np.nan, 1.0, 1.0, 2.0] * 6})
    model = make_pipeline(encoder, DecisionTreeClassifier(random_state=0))
    target = rows.a.isna() & rows.b.notna()
    assert compare_rows(model, (rows, target), pd.concat([rows[:12], rows[:2] + 7])) == 2
