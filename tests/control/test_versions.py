"""Versions and decisions over HTTP, on a real registry."""

import pytest
from tests.support.control import REASON, Control, SharedServer
from tests.support.server import Server

from windlass.auth.key import Role
from windlass.registry.registry import Registry


def test_a_version_goes_into_production_and_back(server: Server, registry: Registry) -> None:
    client = server.client
    assert [v["version"] for v in client.get("/versions").json()["versions"]] == ["v2", "v1"]
    first = client.post("/versions/v1/approve", json=REASON)
    assert (first.status_code, first.json()["stage"]) == (200, "production")
    assert first.json()["decision"]["actor"] == "anonymous"
    assert client.post("/iris/versions/v2/approve", json=REASON).status_code == 200
    assert client.get("/versions/v1").json()["stage"] == "archived"
    back = client.post("/rollback", json={"reason": "v2 is wrong about lilies."}).json()
    assert (back["version"], back["stage"]) == ("v1", "production")
    assert client.post("/rollback", json={"to": "v2", **REASON}).json()["version"] == "v2"
    reported = client.get("/decisions").json()
    assert reported["verified"] is True
    assert [decision["action"] for decision in reported["decisions"]] == [
        "approve",
        "approve",
        "rollback",
        "rollback",
    ]
    assert reported["decisions"][2]["reason"] == "v2 is wrong about lilies."
    production = registry.production("iris")
    assert production is not None
    assert production.name == "v2"


def test_a_rejected_version_stays_out(server: Server) -> None:
    assert server.client.post("/versions/v1/reject", json=REASON).json()["stage"] == "rejected"
    answer = server.client.post("/versions/v1/approve", json=REASON)
    assert answer.status_code == 409
    assert "rejected" in answer.json()["detail"]


def test_a_version_has_all_its_fields(server: Server, registry: Registry) -> None:
    reported = server.client.get("/versions/v1").json()
    assert reported["digest"] == registry.version("iris", "v1").digest
    assert reported["trained_by"] == "ada"
    assert reported["params"]["seed"] == 1
    assert reported["metrics"]["accuracy"] > 0.8
    assert all(gate["passed"] for gate in reported["gates"])


def test_two_versions_are_compared(read_only: SharedServer) -> None:
    answer = read_only.server.client.get("/versions/v1/compare/v2")
    assert answer.status_code == 200
    assert answer.json()["versions"] == ["v1", "v2"]
    assert answer.content == read_only.server.client.get("/iris/versions/v1/compare/v2").content
    assert read_only.server.client.get("/versions/v1/compare/v7").status_code == 404


def test_a_changed_chain_is_reported(server: Server, registry: Registry) -> None:
    server.client.post("/versions/v1/approve", json=REASON)
    with registry.database.writing() as connection:
        connection.exec_driver_sql("UPDATE decisions SET reason = 'Another one.'")
    reported = server.client.get("/decisions").json()
    assert reported["verified"] is False
    assert reported["faults"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/versions/v9", 404),
        ("/versions/v0", 404),
        ("/versions/v99999999999999999999", 404),
        ("/versions/latest", 404),
        ("/versions/%00", 404),
        ("/versions/v1%2F..", 404),
        ("/versions/v1/compare/%F0%9F%92%A9", 404),
        ("/wine/versions", 404),
    ],
)
def test_what_is_unknown_is_not_found(read_only: SharedServer, path: str, status: int) -> None:
    answer = read_only.server.client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ["reason"]),
        ({"reason": ""}, ["reason"]),
        ({"reason": " \n\t"}, ["reason"]),
        ({"reason": "x" * 1001}, ["reason"]),
        ({"reason": "a\x00b"}, ["reason"]),
        ({"reason": 1}, ["reason"]),
        ({"reason": "Fine.", "force": True}, []),
        ([], []),
        (1, []),
        ("reason", []),
    ],
)
def test_a_decision_needs_a_reason(read_only: SharedServer, body: object, field: list[str]) -> None:
    for path in ("/versions/v1/approve", "/versions/v1/reject", "/rollback"):
        answer = read_only.server.client.post(path, json=body)
        assert answer.status_code == 422, path
        assert answer.json()["errors"][0]["loc"] == field
        assert "pattern" not in answer.text
    assert read_only.server.client.get("/decisions").json()["decisions"] == []


@pytest.mark.parametrize("to", ["v0", "1", "", None, "../v1", 1])
def test_a_rollback_goes_to_a_version(read_only: SharedServer, to: object) -> None:
    answer = read_only.server.client.post("/rollback", json={"to": to, **REASON})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["to"]
    assert "pattern" not in answer.text


def test_a_blank_reason_is_refused_in_words(read_only: SharedServer) -> None:
    answer = read_only.server.client.post("/versions/v1/approve", json={"reason": " "})
    assert answer.json()["errors"] == [
        {"loc": ["reason"], "msg": "The value must contain text, and no NUL character."}
    ]


def test_a_rollback_without_a_predecessor_is_refused(read_only: SharedServer) -> None:
    assert read_only.server.client.post("/rollback", json=REASON).status_code == 409


def test_methods_are_as_everywhere(read_only: SharedServer) -> None:
    answer = read_only.server.client.delete("/versions/v1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    head = read_only.server.client.head("/versions")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 2


def test_a_project_without_a_declaration_is_not_found(control: Control, registry: Registry) -> None:
    server = control("wine")
    for path in ("/versions", "/decisions", "/versions/v1"):
        assert server.client.get(path).status_code == 404
    assert server.client.post("/train", json={}).status_code == 404


def test_keys_decide_under_their_names(control: Control, registry: Registry) -> None:
    from windlass.auth.key_store import KeyStore

    keys = KeyStore(registry.database)
    secrets = {role.value: keys.create(f"{role.value}-key", role) for role in Role}
    server = control("iris", WINDLASS_AUTH="required")

    def post(path: str, role: str) -> int:
        answer = server.client.post(path, json=REASON, headers={"X-API-Key": secrets[role]})
        return answer.status_code

    assert server.client.get("/versions").status_code == 401
    assert post("/versions/v1/approve", "train") == 403
    assert (
        server.client.post("/train", json={}, headers={"X-API-Key": secrets["predict"]}).status_code
        == 403
    )
    assert server.client.get("/jobs", headers={"X-API-Key": secrets["predict"]}).status_code == 403
    assert post("/versions/v1/approve", "approve") == 200
    reported = server.client.get("/decisions", headers={"X-API-Key": secrets["predict"]}).json()
    assert reported["decisions"][0]["actor"] == "approve-key"
