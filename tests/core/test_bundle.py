import json
from pathlib import Path
from typing import Any

import pytest

from windlass.core.bundle import Bundle
from windlass.core.bundle_writer import publish_bundle, seal_bundle, staging_folder
from windlass.core.hashing import canonical_json, sha256, sha256_file
from windlass.errors import BundleError, IntegrityError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A small sealed bundle."""
    target = tmp_path / "b"
    with staging_folder(target) as folder:
        (folder / "model.joblib").write_bytes(b"pipeline")
        (folder / "golden.json").write_text('{"rows": [], "expected": []}')
        (folder / "schema.json").write_text(
            json.dumps(
                {
                    "row": {"title": "R", "columns": [{"name": "x", "kind": "number", "later": 1}]},
                    "target": {"name": "y", "classes": ["a", "b"]},
                }
            )
        )
        engine = {"name": "native", "reason": "toy"}
        seal_bundle(folder, project="toy", created="2026", data_digest="0" * 64, engine=engine)
        publish_bundle(folder, target)
    return target


def _edit(bundle: Path, **changes: Any) -> None:
    file = bundle / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_an_opened_bundle_knows_its_digest_version_and_schema(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    assert opened.digest == sha256(
        canonical_json(json.loads((bundle / "manifest.json").read_bytes()))
    )
    assert opened.version == sha256_file(bundle / "model.joblib")[:12]
    assert opened.schema.target.classes == ("a", "b")
    assert opened.json("golden.json") == {"rows": [], "expected": []}


def test_the_digest_does_not_depend_on_how_the_manifest_is_laid_out(bundle: Path) -> None:
    before = Bundle.open(bundle).digest
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest, sort_keys=True))
    assert Bundle.open(bundle).digest == before
    _edit(bundle, created="2027")
    assert Bundle.open(bundle).digest != before


def test_fields_of_later_versions_are_left_alone(bundle: Path) -> None:
    _edit(bundle, signature="later")
    assert Bundle.open(bundle).manifest.project == "toy"


@pytest.mark.parametrize("name", ["model.joblib", "schema.json", "golden.json"])
def test_an_altered_or_absent_file_is_refused(bundle: Path, name: str) -> None:
    content = (bundle / name).read_bytes()
    (bundle / name).write_bytes(content + b" ")
    with pytest.raises(IntegrityError, match=f"{name} is not the file"):
        Bundle.open(bundle)
    (bundle / name).unlink()
    with pytest.raises(IntegrityError, match=f"lacks {name}"):
        Bundle.open(bundle)


def test_a_file_altered_after_opening_is_not_read(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    (bundle / "model.joblib").write_bytes(b"another")
    with pytest.raises(IntegrityError):
        opened.read("model.joblib")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..", ".", "manifest.json"])
def test_a_name_that_leaves_the_folder_is_refused(bundle: Path, name: str) -> None:
    _edit(bundle, files={name: "0" * 64})
    with pytest.raises(IntegrityError, match="not a plain file name"):
        Bundle.open(bundle)


def test_a_manifest_without_the_needed_files_is_refused(bundle: Path) -> None:
    _edit(bundle, files={})
    with pytest.raises(IntegrityError, match=r"does not name model\.joblib"):
        Bundle.open(bundle)


def test_a_later_format_is_refused(bundle: Path) -> None:
    _edit(bundle, format=2)
    with pytest.raises(BundleError, match="format 2"):
        Bundle.open(bundle)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1}', b"\xff"])
def test_a_damaged_manifest_is_refused(bundle: Path, content: bytes) -> None:
    (bundle / "manifest.json").write_bytes(content)
    with pytest.raises(IntegrityError, match="damaged"):
        Bundle.open(bundle)


def test_no_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="windlass train"):
        Bundle.open(tmp_path)
