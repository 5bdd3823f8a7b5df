"""Ids of entities in the client's requests: a server reads those that were given, of any kind."""

import json
from typing import Any
from uuid import UUID

import httpx
import pytest

import windlass
from windlass.core.entity_ids import EntityIds

NUMBER = UUID("0a1b2c3d-0000-4000-8000-00000000000a")
KINDS: list[tuple[EntityIds, list[Any]]] = [
    (EntityIds(("id",), ("integer",)), [0, -7, 2**63 - 1]),
    (EntityIds(("id",), ("text",)), ["a/b", "a,b", "100%", "a b", "größe", "..x", "?#&", "7"]),
    (EntityIds(("id",), ("uuid",)), [NUMBER, str(NUMBER)]),
    (EntityIds(("shop", "customer"), ("text", "integer")), [("north", 7), ("a,b/%", -1)]),
]


@pytest.mark.parametrize(("kind", "ids"), KINDS, ids=lambda each: str(getattr(each, "types", "")))
def test_the_server_reads_the_ids_that_were_given(kind: EntityIds, ids: list[Any]) -> None:
    read: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.content:
            given = [kind.check(each) for each in json.loads(request.content)["ids"]]
            unknown = {"prediction": None, "features": None, "error": "unknown"}
            results: list[dict[str, Any]] = [unknown for _ in given]
            read.extend(given)
            return httpx.Response(200, json={"results": results, "model_version": "v1"})
        segment = request.url.raw_path.decode().rpartition("/")[2]
        read.append(kind.parse_segment(segment))
        return httpx.Response(404, json={"title": "Not Found", "status": 404})

    expected = [kind.check(each) for each in ids]
    with windlass.Client("http://server", transport=httpx.MockTransport(answer)) as client:
        for ask in (client.features, client.predict_by_id):
            for entity in ids:
                with pytest.raises(windlass.ClientError):
                    ask(entity)
            assert read == expected
            read.clear()
        assert [each.error for each in client.features(ids)] == ["unknown"] * len(ids)
        assert [each.error for each in client.predict_by_id(ids)] == ["unknown"] * len(ids)
    assert read == [*expected, *expected]
