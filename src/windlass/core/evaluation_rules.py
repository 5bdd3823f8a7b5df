"""How a project is evaluated: the costs of mistakes, and the split by group and time."""

from dataclasses import dataclass

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
class GroupTimeSplit:
    """Splits rows so that test rows belong to other groups than training rows, and are later.

    `group` and `time` name extra columns of `data()`'s table. The test size is both the share of groups that
    are held out and the share of rows, by time, that are late. Test rows are the late rows of held-out groups,
    training rows the early rows of the other groups; all others are unused. With a test size of 0.3, about
    0.09 of the rows are for testing and 0.49 for training. The hash of a group's value decides whether it is
    held out, independently of the seed.
    """

    group: str
    time: str
