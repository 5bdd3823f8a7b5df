"""Canonical JSON and digests: equal values, equal bytes."""

import hashlib
from pathlib import Path

import pytest

from windlass.core.hashing import canonical_json, pretty_json, sha256, sha256_file


def test_canonical_json_drops_the_order_of_keys_and_nothing_else() -> None:
    assert canonical_json({"b": [1, 2.5], "a": "ü"}) == '{"a":"ü","b":[1,2.5]}'.encode()
    assert canonical_json([1, 2]) != canonical_json([2, 1])


def test_pretty_json_keeps_the_order_of_keys() -> None:
    assert pretty_json({"b": 1, "a": 2}) == b'{\n  "b": 1,\n  "a": 2\n}\n'


@pytest.mark.parametrize("write", [canonical_json, pretty_json])
def test_nan_is_refused(write: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write(float("nan"))  # type: ignore[operator]  # one of the two functions


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    content = b"windlass" * 300_000  # more than one block
    (tmp_path / "file").write_bytes(content)
    assert sha256_file(tmp_path / "file") == sha256(content) == hashlib.sha256(content).hexdigest()
