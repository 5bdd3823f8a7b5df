"""What mistakes cost, where one of two classes is rare and being right on average means nothing."""

from dataclasses import dataclass

from windlass.errors import ProjectError


@dataclass(frozen=True)
class CostMatrix:
    """The costs of the two mistakes, in any unit, and the precision at which recall is measured.

    The second declared class is the positive one. `missed` is what a positive costs that was taken for a
    negative, `alarm` what a negative costs that was taken for a positive. With calibrated probabilities the
    cheapest rule is: positive from `threshold` on.
    """

    missed: float
    alarm: float
    precision: float = 0.5

    def __post_init__(self) -> None:
        if not (self.missed > 0 and self.alarm > 0 and 0 < self.precision < 1):
            raise ProjectError(
                "Stakes need costs above 0 and a precision between 0 and 1, such as Stakes(missed=20, alarm=1)."
            )

    @property
    def threshold(self) -> float:
        """The probability from which on a positive answer is the cheaper one."""
        return self.alarm / (self.alarm + self.missed)


Stakes = CostMatrix  # the name before 0.2; goes in 0.3


@dataclass(frozen=True)
class GroupTimeSplit:
    """Test rows are of other groups than the training rows, and later.

    `group` and `time` name columns that `data()` returns beside the row's. The test size is the share of
    the groups that are held out, and the share of the rows, by time, that counts as later: a test size of
    0.3 tests on about 0.09 of the rows and trains on 0.49; the others, of a held-out group but early, or of
    another but late, are left out. Which groups are held out follows from their values, whatever the seed.
    """

    group: str
    time: str
