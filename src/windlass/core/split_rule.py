"""How rows are kept apart, where rows of one person or of one day must not stand on both sides."""

from dataclasses import dataclass


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
