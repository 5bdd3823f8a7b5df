"""Batches and predictions are cut, picked and joined row by row, with and without tensors."""

from typing import Any

import numpy as np
import pytest

from windlass.core.batch import Batch, Prediction, join_small

IMAGES = np.arange(5 * 2 * 3 * 3, dtype=np.uint8).reshape(5, 2, 3, 3)
SOUND = np.arange(5 * 4, dtype=np.float32).reshape(5, 4)
NUMBERS = np.arange(10.0).reshape(5, 2)
TEXT = np.array([["a"], ["b"], [""], ["d"], ["e"]], object)


def batch(**changes: Any) -> Batch:
    tensors = changes.pop("tensors", {"image": IMAGES, "sound": SOUND})
    return Batch.from_tensors(tensors, **({"numeric": NUMBERS, "text": TEXT} | changes))


def assert_rows(rows: Batch, indices: list[int]) -> None:
    assert len(rows) == len(indices)
    np.testing.assert_array_equal(rows.numeric, NUMBERS[indices])
    np.testing.assert_array_equal(rows.text, TEXT[indices])
    assert rows.tensors.keys() == {"image", "sound"}
    for name, whole in (("image", IMAGES), ("sound", SOUND)):
        np.testing.assert_array_equal(rows.tensors[name], whole[indices])
        assert rows.tensors[name].dtype == whole.dtype


def test_a_slice_has_the_rows_of_every_array() -> None:
    assert_rows(batch().slice(1, 3), [1, 2])
    assert np.shares_memory(batch().slice(1, 3).tensors["image"], IMAGES)


@pytest.mark.parametrize("selection", [[4, 0, 0], [True, False, False, True, False]])
def test_rows_are_picked_by_index_or_mask(selection: list[Any]) -> None:
    picked = np.array(selection)
    indices = picked if picked.dtype != bool else np.flatnonzero(picked)
    assert_rows(batch().take(picked), indices.tolist())


def test_batches_are_joined_in_order() -> None:
    parts = [batch().slice(3, 5), batch().slice(0, 0), batch().slice(0, 2)]
    assert_rows(Batch.concat(parts), [3, 4, 0, 1])


@pytest.mark.parametrize(("size", "sizes"), [(1, [2, 1, 1]), (2, [2, 2]), (3, [3, 1]), (9, [4])])
def test_small_neighbours_are_joined_in_order(size: int, sizes: list[int]) -> None:
    parts = [batch().slice(start, stop) for start, stop in ((0, 2), (2, 3), (3, 4))]
    joined = join_small(iter(parts), size)
    assert list(map(len, joined)) == sizes
    assert_rows(Batch.concat(joined), [0, 1, 2, 3])
    assert join_small([], size) == []


def test_a_batch_of_tensors_alone_has_no_columns() -> None:
    alone = Batch.from_tensors({"image": IMAGES})
    assert (len(alone), alone.numeric.shape, alone.text.shape) == (5, (5, 0), (5, 0))
    assert (alone.numeric.dtype.kind, alone.text.dtype.kind) == ("f", "O")


def test_a_table_has_no_tensors() -> None:
    rows = Batch(NUMBERS, TEXT)
    joined = Batch.concat([rows.slice(0, 2), rows.take(np.array([2, 3, 4]))])
    assert not rows.tensors
    assert not joined.tensors
    np.testing.assert_array_equal(joined.numeric, NUMBERS)


@pytest.mark.parametrize(
    "changes",
    [
        {"tensors": {"image": IMAGES, "sound": SOUND[:4]}},
        {"numeric": NUMBERS[:4]},
        {"text": TEXT[:1]},
        {"tensors": {}},
    ],
)
def test_arrays_of_different_numbers_of_rows_are_no_batch(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="tensors with the same number of rows"):
        batch(**changes)


def test_batches_with_different_tensors_cannot_be_joined() -> None:
    with pytest.raises(ValueError, match=r"different tensors .* \['image', 'none'\]"):
        Batch.concat([batch(tensors={"image": IMAGES}), Batch(NUMBERS, TEXT)])


LABELS = np.array([0, 1, 1])
SHARES = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])


@pytest.mark.parametrize(
    "prediction", [Prediction(LABELS, SHARES), Prediction(values=np.array([1.0, 2.0, 3.0]))]
)
def test_predictions_are_cut_picked_and_joined(prediction: Prediction) -> None:
    joined = Prediction.concat([prediction.slice(1, 3), prediction.take(np.array([0]))])
    again = joined.take(np.array([2, 0, 1]))
    assert len(again) == 3
    for name in ("labels", "probabilities", "values"):
        np.testing.assert_array_equal(getattr(again, name), getattr(prediction, name))
