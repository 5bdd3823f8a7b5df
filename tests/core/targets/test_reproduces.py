"""A bundle's reference examples are not reproduced once any part of them is another, for every kind of target."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.trained_bundles import BundleOf

from windlass.core.bundle import Bundle
from windlass.core.row_validator import RowValidator
from windlass.engines.loader import load_engine

PROJECTS = ["iris", "diabetes", "plants", "progression", "searches", "transfers", "vitals"]


def altered(expected: Any) -> Iterator[Any]:
    """Copies of an expected prediction, each with one leaf changed."""
    if isinstance(expected, dict | list):
        keys = expected if isinstance(expected, dict) else range(len(expected))
        for key in keys:
            for leaf in altered(expected[key]):
                changed = copy.copy(expected)
                changed[key] = leaf
                yield changed
    elif isinstance(expected, bool):
        yield not expected
    else:
        yield f"{expected}?" if isinstance(expected, str) else expected + 1e-3


@pytest.mark.parametrize("name", PROJECTS)
def test_another_prediction_is_not_the_expected_one(bundle_of: BundleOf, name: str) -> None:
    bundle = Bundle.open(bundle_of(name))
    examples = bundle.json("golden.json")
    validator = RowValidator(bundle.schema.row)
    batch = validator.parse_values(examples["rows"])[1]
    prediction = load_engine(bundle).predict(batch)
    target = bundle.target
    for index, expected in enumerate(examples["expected"]):
        assert target.reproduces(prediction, index, expected)
        for other in altered(expected):
            assert not target.reproduces(prediction, index, other), (expected, other)
