"""Ids of entities in requests: integers of 64 bits, and nothing else, where the stored ones are integers."""

from typing import Any
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.budget import examples

from windlass.core.entity_ids import MAX_INTEGER as MAX_ID
from windlass.core.entity_ids import MIN_INTEGER as MIN_ID
from windlass.core.entity_ids import EntityId, EntityIds
from windlass.serving.feature_routes import MAX_IDS, body_ids, path_id
from windlass.web.messages import Request
from windlass.web.problems import Problem
from windlass.web.request_head import RequestHead

ids = st.integers(MIN_ID, MAX_ID)
with_examples = examples(100)


INTEGERS = EntityIds(("id",), ("integer",))


def parse(text: str) -> EntityId:
    exchange = Request(RequestHead("POST", "/", b"", []), "1", 0)
    exchange.path_params = {"id": quote(text, safe="")}
    return path_id(INTEGERS, exchange)


@with_examples
@given(ids)
def test_every_integer_of_64_bits_is_an_id(number: int) -> None:
    assert parse(str(number)) == number


@with_examples
@given(st.integers().filter(lambda number: not MIN_ID <= number <= MAX_ID))
def test_other_integers_are_refused(number: int) -> None:
    with pytest.raises(Problem) as caught:
        parse(str(number))
    assert caught.value.status == 422


@with_examples
@given(st.text().filter(lambda text: not text.isascii() or not text.lstrip("-").isdigit()))
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(Problem) as caught:
        parse(text)
    assert caught.value.status == 422
    assert caught.value.errors == [{"loc": ["id"], "msg": "Input should be an integer of 64 bits"}]


@with_examples
@given(st.lists(ids, min_size=1), st.booleans(), st.sampled_from([b"", b" ", b"\n\t"]))
def test_a_list_may_be_named_or_bare(numbers: list[int], named: bool, space: bytes) -> None:
    body = space + orjson.dumps({"ids": numbers} if named else numbers)
    assert body_ids(INTEGERS, body) == numbers


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(MIN_ID, MAX_ID)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@with_examples
@given(values)
def test_anything_else_is_refused_and_not_echoed(value: Any) -> None:
    listed = value.get("ids") if isinstance(value, dict) and len(value) == 1 else value
    good = isinstance(listed, list) and listed and all(type(item) is int for item in listed)
    if good:
        assert body_ids(INTEGERS, orjson.dumps(value)) == listed
        return
    with pytest.raises(Problem) as caught:
        body_ids(INTEGERS, orjson.dumps(value))
    assert caught.value.status == 422
    assert all(fault.keys() == {"loc", "msg"} for fault in caught.value.errors)


def test_as_many_as_there_may_be() -> None:
    assert len(body_ids(INTEGERS, orjson.dumps([1] * MAX_IDS))) == MAX_IDS
    with pytest.raises(Problem):
        body_ids(INTEGERS, orjson.dumps([1] * (MAX_IDS + 1)))
