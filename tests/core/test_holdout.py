import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.holdout_bundles import make_holdout, seal_holdout

from windlass.core.batch import Batch, Prediction
from windlass.core.holdout import (
    HOLDOUT_FILE,
    Holdout,
    common_rows,
    encode_holdout,
    holdout_mask,
    read_holdout,
    row_digests,
)
from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema
from windlass.errors import IntegrityError

SCHEMA = RowSchema.from_columns(
    "Point",
    ColumnSchema(name="x", kind=ColumnKind.NUMBER),
    ColumnSchema(name="colour", kind=ColumnKind.CATEGORY),
    ColumnSchema(name="shape", kind=ColumnKind.CATEGORY),
)


def _batch(*rows: tuple[float, str, str]) -> Batch:
    return Batch(
        np.array([[row[0]] for row in rows], np.float64),
        np.array([row[1:] for row in rows], object),
    )


def _digests(*rows: tuple[float, str, str]) -> list[bytes]:
    return [bytes(digest) for digest in row_digests(SCHEMA, _batch(*rows))]


def test_a_digest_is_of_the_values_alone() -> None:
    rows = [(1.0, "red", ""), (float("nan"), "blue", "round"), (-0.0, "", "")]
    result = _digests(*rows)
    assert result == _digests(*rows[::-1])[::-1]
    assert _digests((0.0, "", "")) == [result[2]]
    assert _digests((-float("nan"), "blue", "round")) == [result[1]]
    assert len(set(result)) == 3


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((1.0, "red", ""), (1.0, "", "red")),
        ((1.0, "ab", "c"), (1.0, "a", "bc")),
        ((1.0, "a", "b"), (np.nextafter(1.0, 2), "a", "b")),
        ((float("nan"), "a", "b"), (0.0, "a", "b")),
    ],
)
def test_other_values_have_another_digest(first: Any, second: Any) -> None:
    assert _digests(first) != _digests(second)


def test_other_columns_have_other_digests() -> None:
    numbers = Batch(np.zeros((1, 1)), np.empty((1, 0), object))
    result = {
        bytes(
            row_digests(RowSchema.from_columns("Row", ColumnSchema(name=name, kind=kind)), numbers)[
                0
            ]
        )
        for name in ("x", "y")
        for kind in (ColumnKind.NUMBER, ColumnKind.INTEGER)
    }
    assert len(result) == 4


def test_the_digest_stays_what_it_is() -> None:
    """Versions of years ago must be comparable: a change here is a change of the format."""
    assert [d.hex() for d in _digests((1.5, "red", ""))] == ["b41fd38e38f73dd548f5de5ba8c8b31f"]


def test_a_share_is_held_out_and_a_larger_share_holds_it_too() -> None:
    digests = np.random.default_rng(0).integers(0, 256, (20_000, 16), np.uint8)
    small, large = holdout_mask(digests, 0.1), holdout_mask(digests, 0.3)
    assert np.mean(small) == pytest.approx(0.1, abs=0.01)
    assert np.mean(large) == pytest.approx(0.3, abs=0.01)
    assert not (small & ~large).any()


def _holdout(order: list[int]) -> Holdout:
    """Five rows, three of them equal and two of these with one truth, in some order."""
    rows = np.repeat(np.array([[7], [9], [7], [7], [1]], np.uint8), 16, axis=1)
    truth = np.array([1, 0, 0, 1, 1])
    shares = np.array([[0.4, 0.6], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.2, 0.8]])
    return Holdout.from_arrays(
        rows[order], truth[order], Prediction(shares.argmax(1)[order], shares[order])
    )


def test_equal_rows_are_distinguished_in_any_order() -> None:
    first, second = _holdout([0, 1, 2, 3, 4]), _holdout([3, 4, 2, 1, 0])
    assert encode_holdout(first) == encode_holdout(second)
    assert len({bytes(row) for row in first.rows}) == 5
    fewer = _holdout([0, 2, 4])
    mine, theirs = common_rows(first, fewer)
    assert len(mine) == 3
    assert first.take(mine).truth.tolist() == fewer.take(theirs).truth.tolist()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for holdout in (make_holdout(random.integers(0, 2, 30)), make_holdout(random.normal(size=30))):
        result = read_holdout(seal_holdout(tmp_path, holdout))
        assert result is not None
        assert result.rows.tobytes() == holdout.rows.tobytes()
        assert result.truth.tolist() == holdout.truth.tolist()
        for name in ("labels", "probabilities", "values"):
            before, now = getattr(holdout.prediction, name), getattr(result.prediction, name)
            assert (before is None and now is None) or np.array_equal(before, now)


def test_a_bundle_from_before_has_none(tmp_path: Path) -> None:
    bundle = seal_holdout(tmp_path, make_holdout(np.array([0, 1])))
    bundle.manifest.files.clear()
    assert read_holdout(bundle) is None


def _changed(name: str, value: Any = None) -> bytes:
    """A holdout of three rows, one of its arrays replaced, or left out."""
    with np.load(io.BytesIO(encode_holdout(make_holdout(np.array([0, 1, 1]))))) as arrays:
        changed_arrays: dict[str, Any] = {key: arrays[key] for key in arrays.files}
    changed_arrays[name] = value
    buffer = io.BytesIO()
    np.savez(buffer, **{key: array for key, array in changed_arrays.items() if array is not None})
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 no archive",
        _changed("truth"),
        _changed("probabilities"),
        _changed("labels", np.array([0, 1, 2])),
        _changed("truth", np.array([0, 1])),
        _changed("rows", np.zeros((3, 8), np.uint8)),
        _changed("probabilities", np.zeros((3, 5))),
        _changed("truth", np.array([{}, {}, {}], object)),
    ],
)
def test_a_damaged_holdout_is_refused(tmp_path: Path, content: bytes) -> None:
    bundle = seal_holdout(tmp_path, content)
    with pytest.raises(IntegrityError, match=f"{HOLDOUT_FILE} is damaged"):
        read_holdout(bundle)
