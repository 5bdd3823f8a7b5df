"""Stand-ins for commands that need an engine or an outside service: they record how they were called."""

import json
from pathlib import Path

_SCRIPT = """#!/bin/sh
python3 - "$0" "$@" <<'END' >> {calls}
import json, sys
print(json.dumps([sys.argv[1].rpartition("/")[2], *sys.argv[2:]]))
END
{body}
"""


class CommandStubs:
    """A folder for PATH. `add` puts a command there, with shell lines that it runs after it was recorded."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._calls = folder / "calls.jsonl"

    def add(self, name: str, body: str = "") -> None:
        """A command of this name."""
        file = self.folder / name
        file.write_text(_SCRIPT.format(calls=self._calls, body=body))
        file.chmod(0o755)

    def calls(self) -> list[list[str]]:
        """How they were called, the first first."""
        if not self._calls.exists():
            return []
        return [json.loads(line) for line in self._calls.read_text().splitlines()]
