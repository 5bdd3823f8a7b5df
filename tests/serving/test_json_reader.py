"""JsonReader: reads in pieces what orjson reads at once, and refuses what it refuses."""

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.budget import examples

from windlass.serving.json_reader import MAX_DEPTH, PIECE_BYTES, JsonReader
from windlass.web.problems import Problem

TEXTS = st.text(st.sampled_from('ab"\\{}[],:é\U0001f600\n'), max_size=6)
SCALARS = st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-9, 9) | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


class SmallReader(JsonReader):
    """A reader whose pieces are so small that every array has several."""

    def __init__(self, text: bytes, piece: int = 64) -> None:
        super().__init__(text)
        self._piece = piece


def read_array(text: bytes, piece: int = 64) -> list[Any]:
    reader = SmallReader(text, piece)
    values = [value for piece in reader.elements() for value in piece]
    reader.end()
    return values


def read_object(text: bytes) -> dict[str, Any]:
    reader = SmallReader(text, 1 << 10)
    values = {
        name: [item for piece in reader.elements() for item in piece]
        if reader.peek() == b"["
        else reader.value()
        for name in reader.members()
    }
    reader.end()
    return values


@examples(400)
@given(st.lists(VALUES, max_size=12), st.sampled_from([None, 2]), st.booleans())
def test_any_array(values: list[Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode()
    longest = max((len(json.dumps(value, indent=4)) for value in values), default=0)
    assert read_array(text, max(64, 3 * longest)) == values


@examples(200)
@given(st.dictionaries(TEXTS, VALUES, max_size=6), st.sampled_from([None, 2]))
def test_any_object(values: dict[str, Any], indent: int | None) -> None:
    assert read_object(json.dumps(values, indent=indent).encode()) == values


@examples(400)
@given(st.lists(VALUES, min_size=1, max_size=6), st.data())
def test_what_is_not_json_is_refused(values: list[Any], data: st.DataObject) -> None:
    text = json.dumps(values).encode()
    at = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.sampled_from([b"", b"]", b"[", b"}", b"{", b'"', b",", b"\\", b"x"]))
    broken = text[:at] + byte + text[at + 1 :]
    try:
        expected = orjson.loads(broken)
    except orjson.JSONDecodeError:
        expected = None
    if isinstance(expected, list):
        assert read_array(broken, 1 << 10) == expected
        return
    with pytest.raises(Problem) as refusal:
        read_array(broken)
    assert refusal.value.status in (400, 413)


ITEMS = [
    b'{"a":1}', b"[1,[2]]", b"1.5", b'"},{"', b'{"a":"],["}', b'"\\"],"', b'{"a":{"b":[1,{}]}} ', b"null",
]  # fmt: skip


@pytest.mark.parametrize("item", ITEMS)
@pytest.mark.parametrize("separator", [b",", b" ,\n "])
def test_arrays_of_several_pieces(item: bytes, separator: bytes) -> None:
    count = 3 * PIECE_BYTES // len(item + separator)
    text = b'{"first":[%b],"last":[1,"]"]}' % separator.join([item] * count)
    reader, value = JsonReader(text), orjson.loads(item)
    names, sizes = [], []
    for name in reader.members():
        names.append(name)
        for piece in reader.elements():
            sizes.append(len(piece))
            assert piece == [value] * len(piece) or name == "last"
    reader.end()
    assert names == ["first", "last"]
    assert sum(sizes) == count + 2
    assert max(sizes) * len(item) <= PIECE_BYTES


@pytest.mark.parametrize(
    "text",
    [
        b'["%b"]' % (b"a" * 2 * PIECE_BYTES), b"[[%b1]]" % (b"1," * PIECE_BYTES),
        b"[%b" % (b"\\" * 2 * PIECE_BYTES),
    ],
    ids=range(3),
)  # fmt: skip
def test_an_item_that_is_longer_than_a_piece_is_refused(text: bytes) -> None:
    with pytest.raises(Problem) as refusal:
        list(JsonReader(text).elements())
    assert refusal.value.status == 413
    with pytest.raises(Problem) as refusal:
        JsonReader(text).value()
    assert refusal.value.status == 413


@pytest.mark.parametrize(
    "text",
    [b"[" * PIECE_BYTES, b'[{"a' * PIECE_BYTES, b"[1,%b" % (b'{"a":[' * MAX_DEPTH)],
    ids=range(3),
)
@pytest.mark.parametrize("read", [JsonReader.any_value, JsonReader.value])
def test_what_is_nested_too_deeply_is_not_read(
    text: bytes, read: Callable[[JsonReader], Any]
) -> None:
    with pytest.raises(Problem) as refusal:
        read(JsonReader(text))
    assert (refusal.value.status, refusal.value.detail) == (400, "The body is nested too deeply.")


def test_values_may_be_nested_as_deeply_as_orjson_reads_them() -> None:
    text = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    value, depth = JsonReader(text).value(), 1
    while value:
        (value,), depth = value, depth + 1
    assert depth == MAX_DEPTH
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(b"[%b]" % text)


@pytest.mark.parametrize("text", [b"[]", b"[ ]", b" \n[1]", b"[1 , 2]\t"])
def test_spaces(text: bytes) -> None:
    assert read_array(text) == orjson.loads(text)


def test_spaces_of_several_pieces() -> None:
    space = b" " * (3 * PIECE_BYTES)
    reader = JsonReader(b'{"a":%b[%b1,%b2]%b}%b' % ((space,) * 5))
    assert [(name, list(reader.elements())) for name in reader.members()] == [("a", [[1], [2]])]
    reader.end()
