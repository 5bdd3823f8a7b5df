"""Brings examples into production as a demonstration: `demo.py FOLDER…`. `make run` calls it before it serves them.

A project with a feature view runs its whole pipeline, on generated events. A version that waits for an approval is
approved with a temporary key. This is for demonstrations only: do not approve a real model like this. A project whose
files have not changed since its version in production is skipped.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

WINDLASS = str(Path(sys.executable).with_name("windlass"))
HOME = Path(os.environ.get("WINDLASS_HOME", ".windlass"))


def main(folders: list[Path]) -> int:
    """Brings each project into production. Returns 1 if one fails."""
    for folder in folders:
        stamp = HOME / "demo" / folder.name
        source_digest = digest(folder)
        if stamp.is_file() and stamp.read_text() == source_digest and is_in_production(folder):
            print(f"{folder.name} is in production, and its files are as they were.")
            continue
        command = "pipeline" if (folder / "generate.py").is_file() else "train"
        print(f"windlass {command} {folder}", flush=True)
        if subprocess.run([WINDLASS, command, str(folder)], check=False).returncode != 0:
            return 1
        if newest(folder)["stage"] == "candidate" and approve(folder) != 0:
            return 1
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(source_digest)
    return 0


def digest(folder: Path) -> str:
    """Returns a digest of the project's Python files."""
    files = sorted(folder.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def is_in_production(folder: Path) -> bool:
    """Whether a version is in production."""
    return any(version["stage"] == "production" for version in versions(folder))


def newest(folder: Path) -> Any:
    """Returns the newest version."""
    return versions(folder)[0]


def versions(folder: Path) -> Any:
    """Returns the project's versions, newest first."""
    command = [WINDLASS, "versions", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else []


def approve(folder: Path) -> int:
    """Approves the newest version with a temporary key, so that the approver is not the one who trained it."""
    name = f"demo-{time.time_ns():x}"
    create = [WINDLASS, "keys", "create", "--name", name, "--role", "approve"]
    key = subprocess.run(create, capture_output=True, text=True, check=True).stdout.strip()
    reason = "A demonstration, by make run"
    print(f'windlass approve {folder} --reason "{reason}"  # as {name}', flush=True)
    command = [WINDLASS, "approve", str(folder), "--reason", reason]
    code = subprocess.run(command, env={**os.environ, "WINDLASS_KEY": key}, check=False).returncode
    subprocess.run([WINDLASS, "keys", "revoke", name], capture_output=True, check=True)
    return code


if __name__ == "__main__":
    raise SystemExit(main([Path(folder) for folder in sys.argv[1:]]))
