"""How a project is evaluated: costs of mistakes, its own metrics, and splits by declared columns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from windlass.core.deprecation import renamed_arguments
from windlass.errors import ProjectError


@renamed_arguments(missed="false_negative", alarm="false_positive")
@dataclass(frozen=True)
class CostMatrix:
    """Costs of the two kinds of mistakes in binary classification, in any one unit.

    The second declared class is the positive one. `false_negative` is the cost of predicting negative for a
    positive row, `false_positive` the cost of predicting positive for a negative row. Correct predictions
    cost nothing. `precision` is the precision at which recall is measured.

    Raises ProjectError if a cost is not above 0, or the precision is not between 0 and 1.
    """

    false_negative: float
    false_positive: float
    precision: float = 0.5

    def __post_init__(self) -> None:
        if not (self.false_negative > 0 and self.false_positive > 0 and 0 < self.precision < 1):
            raise ProjectError(
                "CostMatrix needs costs above 0 and a precision between 0 and 1, such as"
                " CostMatrix(false_negative=20, false_positive=1, precision=0.5)."
            )

    @property
    def threshold(self) -> float:
        """The probability from which predicting positive costs less on average.

        It is false_positive / (false_positive + false_negative), for calibrated probabilities
        (Elkan 2001, "The foundations of cost-sensitive learning", equation 2).
        """
        return self.false_positive / (self.false_positive + self.false_negative)


@dataclass(frozen=True)
class Metric:
    """Metric of a project's own, by a function such as those of `sklearn.metrics`.

    `function(y_true, y_pred)` returns a finite number for n test rows. With `response="predict"` both hold labels [n],
    or float64 [n] of a quantity. With `response="predict_proba"`, `y_pred` holds probabilities float64 [n, classes] in
    declared order, of two classes [n] of the second one, and `y_true` the index of each row's class in that order,
    int64 [n]: scikit-learn would order labels by name. Gates can use the metric. Raises ProjectError for a name or a
    response that cannot be used.
    """

    name: str
    function: Callable[[Any, Any], float]
    greater_is_better: bool = True
    response: Literal["predict", "predict_proba"] = "predict"

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name.isidentifier()):
            raise ProjectError(
                f"Metric {self.name!r}: its name has letters, digits and _, such as expected_profit."
            )
        if not callable(self.function) or self.response not in ("predict", "predict_proba"):
            raise ProjectError(
                f"Metric {self.name!r} needs a function(y_true, y_pred), and the response 'predict' or"
                " 'predict_proba'."
            )


class SplitRule:
    """Base of the rules that split rows by extra columns of `data()`'s table, which the model does not see.

    `group`, `time` and `column` name the columns; None where a rule has none.
    """

    group: str | None = None
    time: str | None = None
    column: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the rule needs."""
        return tuple(name for name in (self.group, self.time, self.column) if name is not None)


@dataclass(frozen=True)
class GroupSplit(SplitRule):
    """Splits rows so that test rows belong to other groups than training rows, such as other customers.

    `group` names an extra column of `data()`'s table. The test size is the share of groups that are held out. The hash
    of a group's value decides whether it is, independently of the seed.
    """

    group: str


@dataclass(frozen=True)
class TimeSplit(SplitRule):
    """Splits rows so that test rows are later than training rows.

    `time` names an extra column of dates or times in `data()`'s table. The test size is the share of rows that are
    late; rows of the same time are on one side.
    """

    time: str


@dataclass(frozen=True)
class ColumnSplit(SplitRule):
    """Splits rows as an extra column of `data()`'s table says: a test set, and perhaps a validation set, of one's own.

    Each cell of `column` is one of the three texts. Validation rows are for early stopping; other candidates train on
    them too. The test size is not used.
    """

    column: str
    train: str = "train"
    test: str = "test"
    validation: str = "validation"

    def __post_init__(self) -> None:
        if len({self.train, self.test, self.validation}) < 3:
            raise ProjectError(
                f"ColumnSplit({self.column!r}) needs three different texts for train, test and validation."
            )


@dataclass(frozen=True)
class GroupTimeSplit(SplitRule):
    """Splits rows so that test rows belong to other groups than training rows, and are later.

    `group` and `time` name extra columns of `data()`'s table. The test size is both the share of groups that
    are held out and the share of rows, by time, that are late. Test rows are the late rows of held-out groups,
    training rows the early rows of the other groups; all others are unused. With a test size of 0.3, about
    0.09 of the rows are for testing and 0.49 for training. The hash of a group's value decides whether it is
    held out, independently of the seed.
    """

    group: str
    time: str
