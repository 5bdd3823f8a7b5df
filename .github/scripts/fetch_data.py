"""Fetches the raw events for a training: `fetch_data.py PROJECT DATA`. The output `file` is their path.

DATA is a path on the runner, or a URL of an object (https://, s3://, gs://, az://; obstore reads the credentials
from the environment). Without DATA the project generates events, for a trial.
"""

import os
import subprocess
import sys
from pathlib import Path


def main(project: str, data: str) -> int:
    """Fetches the events, and writes their path to the outputs of the step."""
    folder = Path(os.environ["RUNNER_TEMP"])
    if not data:
        file = folder / "raw.parquet"
        windlass = Path(sys.executable).with_name("windlass")
        subprocess.run([windlass, "features", "generate", project, "--out", file], check=True)
    elif "://" in data:
        file = folder / data.rsplit("/", 1)[1]
        _download(data, file)
    else:
        file = Path(data)
    if not file.is_file():
        print(
            f"fetch_data: there is no file {file}. Give a path on the runner, or a URL.",
            file=sys.stderr,
        )
        return 1
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as output:
        output.write(f"file={file.resolve()}\n")
    return 0


def _download(url: str, file: Path) -> None:
    from obstore.store import from_url

    folder, _, name = url.rpartition("/")
    local = folder.startswith("http://127.0.0.1")
    store = from_url(folder, client_options={"allow_http": local})
    with file.open("wb") as out:
        for chunk in store.get(name).stream():
            out.write(chunk)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""))
