from typing import Any

import numpy as np
import pytest

from windlass.engines.convert import FittedEstimator
from windlass.engines.convert.probe_rows import UNSEEN, ProbeRowSampler


@pytest.fixture
def sampler(mixed: Any) -> Any:
    rows, _ = mixed
    fitted = FittedEstimator(None, tuple(rows.columns), frozenset({"colour", "job"}), None)
    return ProbeRowSampler(fitted, rows, {0: np.array([40.5])}, np.random.default_rng(0))


def test_every_kind_has_the_columns_and_types_of_training(sampler: Any) -> None:
    kinds = [
        sampler.recombined,
        sampler.uniform,
        sampler.at_splits,
        sampler.midpoints,
        sampler.with_unseen_text,
    ]
    for frame in [kind(30) for kind in kinds] + [sampler.with_missing(30, anywhere=True)]:
        assert len(frame) == 30
        assert frame.dtypes.to_dict() == sampler.rows.dtypes.to_dict()
        assert list(frame) == list(sampler.rows)


def test_boundaries_surround_a_split(sampler: Any) -> None:
    ages = sampler.at_splits(2000)["age"]
    for side in (-np.inf, np.inf):
        assert np.nextafter(40.5, side) in set(ages)
        assert float(np.nextafter(np.float32(40.5), np.float32(side))) in set(ages)
    assert 40.5 in set(ages)


def test_unseen_and_missing(sampler: Any) -> None:
    assert UNSEEN in set(sampler.with_unseen_text(50)["job"])
    assert sampler.with_missing(50, anywhere=True)["member"].isna().any()
    assert not sampler.with_missing(50, anywhere=False)["member"].isna().any()


def test_a_cautious_sampler_stays_among_what_was_seen(sampler: Any) -> None:
    in_range = ProbeRowSampler(
        sampler.fitted, sampler.rows, {}, np.random.default_rng(0), in_range=True
    )
    for frame in (in_range.uniform(300), in_range.at_splits(300), in_range.midpoints(300)):
        assert set(frame["member"]) == {0.0, 1.0}
        assert frame["age"].min() >= sampler.rows["age"].min()
        assert frame["age"].max() <= sampler.rows["age"].max()
