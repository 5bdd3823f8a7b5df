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


def main(folders: list[Path]) -> int:
    """Brings each project into production. Returns 1 if one fails."""
    for folder in folders:
        stamp = folder / ".demo"
        if stamp.is_file() and stamp.read_text() == state(folder):
            print(f"{folder.name} is in production, and its files are as they were.")
            continue
        command = "pipeline" if (folder / "generate.py").is_file() else "train"
        print(f"windlass {command} {folder}", flush=True)
        if subprocess.run([WINDLASS, command, str(folder)], check=False).returncode != 0:
            return 1
        if newest(folder)["stage"] == "candidate" and approve(folder) != 0:
            return 1
        stamp.write_text(state(folder))
    return 0


def state(folder: Path) -> str:
    """Returns the digests of the project's Python files and of the bundle in production."""
    files = sorted(folder.glob("*.py"))
    source = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    live = [each["digest"] for each in versions(folder) if each["stage"] == "production"]
    return " ".join([source, *live])


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
    create = [
        WINDLASS,
        "keys",
        "create",
        "--name",
        name,
        "--role",
        "approve",
        "--project",
        str(folder),
    ]
    key = subprocess.run(create, capture_output=True, text=True, check=True).stdout.strip()
    reason = "A demonstration, by make run"
    print(f'windlass approve {folder} --reason "{reason}"  # as {name}', flush=True)
    command = [WINDLASS, "approve", str(folder), "--reason", reason]
    code = subprocess.run(command, env={**os.environ, "WINDLASS_KEY": key}, check=False).returncode
    revoke = [WINDLASS, "keys", "revoke", name, "--project", str(folder)]
    subprocess.run(revoke, capture_output=True, check=True)
    return code


if __name__ == "__main__":
    raise SystemExit(main([Path(folder) for folder in sys.argv[1:]]))
