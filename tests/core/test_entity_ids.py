"""Ids of entities: every one survives a URL's path, and what cannot be one is refused in words."""

from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.budget import examples
from tests.support.order_view import ODD_TEXTS

from windlass.core.entity_ids import EntityIds, entity_key
from windlass.errors import IdError
from windlass.serving.feature_routes import path_id
from windlass.web.messages import Request
from windlass.web.problems import Problem
from windlass.web.request_head import RequestHead
from windlass.web.routing import Route, Router

TEXT, INTEGER = EntityIds(("a",), ("text",)), EntityIds(("a",), ("integer",))
UUIDS = EntityIds(("a",), ("uuid",))
SEVERAL = EntityIds(("a", "b", "c"), ("text", "integer", "text"))
texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=[*map(chr, range(32)), "\x7f"]),
    min_size=1,
    max_size=60,
) | st.sampled_from(ODD_TEXTS)
integers = st.integers(-(2**63), 2**63 - 1)


async def nothing(_request: Request) -> Any:
    """Answers nothing."""


ROUTER = Router([Route("GET", f"{prefix}/features/{{id}}", nothing) for prefix in ("", "/shop")])


def routed(ids: EntityIds, encoded: str) -> Any:
    """The id in an encoded path, as a server finds it."""
    from urllib.parse import unquote

    path = unquote(encoded)
    request = Request(RequestHead("GET", path, b"", [], encoded if "%" in encoded else ""), "1", 0)
    head = request.head
    _, request.path_params = ROUTER.find("GET", head.path, head.encoded_path)
    return path_id(ids, request)


@examples(150)
@example("a/b", 7, "a,b")
@given(texts, integers, texts)
def test_ids_survive_a_path(text: str, number: int, other: str) -> None:
    for prefix in ("", "/shop"):
        assert routed(TEXT, f"{prefix}/features/{TEXT.segment(text)}") == text
        assert routed(INTEGER, f"{prefix}/features/{number}") == number
        several = (text, number, other)
        assert routed(SEVERAL, f"{prefix}/features/{SEVERAL.segment(several)}") == several
    assert SEVERAL.check(SEVERAL.fields((text, number, other))) == (text, number, other)


@examples(100)
@given(st.tuples(texts, integers, texts), st.tuples(texts, integers, texts))
def test_different_ids_have_different_keys(first: tuple[Any, ...], second: tuple[Any, ...]) -> None:
    assert (entity_key(first) == entity_key(second)) == (first == second)


@pytest.mark.parametrize(
    "segment",
    [
        "",
        "a,1",
        "a,1,b,c",
        "a,x,b",
        ",1,b",
        "a%2C1%2Cb",
        "a,1,%FF",
        "a,1,%00",
        "a,%31.0,b",
        "a,1," + "z" * 513,
    ],
)
def test_segments_that_are_no_ids_are_refused(segment: str) -> None:
    with pytest.raises(IdError):
        SEVERAL.parse_segment(segment)


def test_a_fault_names_the_column() -> None:
    with pytest.raises(Problem) as caught:
        routed(SEVERAL, "/features/a,x,b")
    assert (caught.value.status, caught.value.errors) == (
        422,
        [{"loc": ["id", "b"], "msg": "Input should be an integer of 64 bits"}],
    )


def test_a_uuid_has_one_form() -> None:
    canonical = "6f1c2e4a-0000-4000-8000-00000000000a"
    for spelling in (canonical, canonical.upper(), canonical.replace("-", ""), f"{{{canonical}}}",
                     f"urn:uuid:{canonical}", UUID(canonical)):  # fmt: skip
        assert UUIDS.check(spelling) == canonical
    for wrong in (
        canonical[:-1],
        f"{canonical}0",
        canonical.replace("-", "", 1),
        f"x{canonical}",
        5,
        None,
    ):
        with pytest.raises(IdError):
            UUIDS.check(wrong)


def test_numbers_of_numpy_are_integers() -> None:
    assert INTEGER.check(np.int64(5)) == 5
    for wrong in (np.float64(5), 5.0, "5", True, np.bool_(True), None):
        with pytest.raises(IdError):
            INTEGER.check(wrong)
