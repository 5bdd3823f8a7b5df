"""Copies of bundles, altered: as an accident would, or sealed again as an attacker would."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from windlass.core.bundle import MANIFEST
from windlass.core.hashing import sha256_file


def copy_bundle(bundle: Path, target: Path) -> Path:
    """Copies a bundle, for a test to change."""
    shutil.copytree(bundle, target)
    return target


def reseal(bundle: Path) -> Path:
    """Writes the digests of the files as they are now."""
    manifest = json.loads((bundle / MANIFEST).read_bytes())
    manifest["files"] = {
        file.name: sha256_file(file) for file in sorted(bundle.iterdir()) if file.name != MANIFEST
    }
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    return bundle


def change_json(bundle: Path, name: str, alter: Callable[[Any], None]) -> Path:
    """Changes one JSON file in place, and seal the bundle again unless that file is the manifest."""
    content = json.loads((bundle / name).read_bytes())
    alter(content)
    (bundle / name).write_text(json.dumps(content))
    return bundle if name == MANIFEST else reseal(bundle)
