"""Azure's blob storage on loopback: Azurite, its emulator, fetched with npm once an environment."""

import base64
import hashlib
import hmac
import shutil
import sys
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

import httpx
import pytest
from tests.support.child_process import StillRunningError, run
from tests.support.server import free_port
from tests.support.services import await_http, skip_or_fail
from tests.support.shared_resources import SharedResources

ACCOUNT = "devstoreaccount1"  # of every emulator, with a key that is no secret
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
VERSION = "2021-08-06"  # of the protocol
PACKAGE = "azurite@3"


@pytest.fixture(scope="session")
def azure_endpoint(shared: SharedResources, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the account at the run's emulator. Every test has a container of its own."""
    folder = tmp_path_factory.mktemp("azurite")
    program = _program()

    def start() -> str:
        port, log = free_port(), folder / "server.log"
        options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--skipApiVersionCheck"]
        command = [str(program), "--silent", "--inMemoryPersistence", *options]
        address = await_http(
            f"http://127.0.0.1:{port}", shared.start(command, log, cwd=folder), log
        )
        return f"{address}/{ACCOUNT}"

    return shared.value("azure-endpoint", start)


@pytest.fixture
def azure_url(azure_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty container's folder; credentials are in the environment."""
    container = f"models-{token_hex(6)}"
    _make(azure_endpoint, container)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", azure_endpoint)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    return f"az://{container}/team"


def _program() -> Path:
    """The emulator, in this environment; fetched where it is not there yet."""
    home = Path(sys.prefix) / PACKAGE
    program = home / "node_modules" / ".bin" / "azurite-blob"
    if not program.exists():
        with TemporaryDirectory(dir=sys.prefix) as folder:
            _install(Path(folder))
            with suppress(OSError):  # another run of the tests was quicker
                Path(folder).rename(home)
    return program


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        skip_or_fail("no npm to fetch Azurite with")
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
    try:
        ended = run([npm, "install", *quiet, PACKAGE], new_group=True, timeout=100)
    except StillRunningError as error:
        skip_or_fail(f"npm does not fetch Azurite: {error}")
    if ended.code != 0:
        skip_or_fail(f"npm does not fetch Azurite: {ended.err}")


def _make(endpoint: str, container: str) -> None:
    """Make a container: the one request that obstore has no call for, signed with the shared key."""
    date = formatdate(usegmt=True)
    signed = "\n".join(
        ["PUT", *[""] * 11, f"x-ms-date:{date}", f"x-ms-version:{VERSION}",
         f"/{ACCOUNT}/{ACCOUNT}/{container}", "restype:container"]
    )  # fmt: skip
    digest = hmac.digest(base64.b64decode(KEY), signed.encode(), hashlib.sha256)
    headers = {
        "x-ms-date": date,
        "x-ms-version": VERSION,
        "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}",
        "Content-Length": "0",
    }
    response = httpx.put(f"{endpoint}/{container}?restype=container", headers=headers, timeout=60)
    assert response.status_code == 201, response.text
