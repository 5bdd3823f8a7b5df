import numpy as np
import pytest
from numpy.typing import NDArray

from windlass.core.batch import Batch
from windlass.training.repeated_rows import (
    are_coarse,
    chance_share,
    content_groups,
    repeated_share,
)

RANDOM = np.random.default_rng(3)


def _batch(numbers: NDArray[np.float64], *texts: list[str]) -> Batch:
    text = np.array(texts, object).T if texts else np.empty((len(numbers), 0), object)
    return Batch(numbers, text)


def test_equal_rows_have_one_number_in_the_order_of_their_first_rows() -> None:
    nan, other = np.nan, np.frombuffer(b"\x01\0\0\0\0\0\xf8\x7f", np.float64)[0]
    numbers = np.array([[1.0, nan], [2.0, 0.0], [1.0, other], [2.0, -0.0], [1.0, nan]])
    groups = content_groups(_batch(numbers, ["a", "", "a", "", "b"]))
    assert groups.tolist() == [0, 1, 0, 1, 2]
    assert repeated_share(groups) == 0.8


def test_values_of_other_columns_differ() -> None:
    assert content_groups(_batch(np.array([[1.0, 2.0], [2.0, 1.0]]))).tolist() == [0, 1]
    assert content_groups(_batch(np.zeros((2, 0)), ["a", "b"], ["b", "a"])).tolist() == [0, 1]


def test_tensors_count() -> None:
    batch = Batch.from_tensors({"image": np.array([[1, 2], [1, 3], [1, 2]], np.uint8)})
    assert content_groups(batch).tolist() == [0, 1, 0]


def test_copies_in_a_table_of_fine_columns_are_no_chance() -> None:
    fine = RANDOM.normal(size=(500, 3))
    for copies in (np.arange(500), np.repeat(np.arange(20), 40)):
        copied = _batch(np.vstack([fine, fine[copies]]))
        assert repeated_share(content_groups(copied)) > 0.5
        assert not are_coarse(copied, content_groups(copied))
    assert chance_share(_batch(fine)) == 0.0


@pytest.mark.parametrize("values", [2, 4, 8])
def test_rows_of_a_few_coarse_columns_are_equal_by_chance(values: int) -> None:
    coarse = RANDOM.integers(0, values, (800, 3)).astype(float)
    batch = _batch(coarse, RANDOM.choice(["a", "b"], 800).tolist())
    assert repeated_share(content_groups(batch)) > 0.3
    assert are_coarse(batch, content_groups(batch))


def test_few_contents_are_coarse() -> None:
    batch = _batch(RANDOM.integers(0, 4, (400, 1)).astype(float))
    assert are_coarse(batch, content_groups(batch))
