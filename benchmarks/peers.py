"""Other model servers, each in a separate environment in benchmarks/.peers, with the same model."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import BenchmarkError, Server

HERE = Path(__file__).parent
HOME = HERE / ".peers"
VALUES = [5.1, 3.5, 1.4, 0.2]


@dataclass(frozen=True)
class Peer:
    """Another server: what to install, how to start it, and what to request. `{bin}` is that of its environment."""

    name: str
    requirements: tuple[str, ...]
    command: tuple[str, ...]
    body: object
    ready: str
    predict: str
    prepare: tuple[str, ...] = ()  # a command that runs once, in the peer's folder


_MLSERVER_SETTINGS = {
    "settings.json": {"grpc_port": 0, "metrics_endpoint": None, "parallel_workers": 0},
    "model-settings.json": {
        "name": "iris",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.joblib"},
    },
}

PEERS = (
    Peer(
        "LitServe",
        ("litserve",),
        ("{bin}/python", str(HERE / "servers/litserve_joblib.py"), "{port}"),
        {"row": VALUES},
        ready="/health",
        predict="/predict",
    ),
    Peer(
        "BentoML",
        ("bentoml",),
        ("{bin}/bentoml", "serve", "bentoml_joblib:Iris", "--port", "{port}"),
        {"row": VALUES},
        ready="/readyz",
        predict="/predict",
    ),
    Peer(
        "MLServer",
        ("mlserver", "mlserver-sklearn"),
        ("{bin}/mlserver", "start", "."),
        {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": VALUES}]},
        ready="/v2/health/ready",
        predict="/v2/models/iris/infer",
    ),
    Peer(
        "MLflow models serve",
        ("mlflow",),
        (
            *("{bin}/mlflow", "models", "serve", "--model-uri", "saved"),
            *("--env-manager", "local", "--host", "127.0.0.1", "--port", "{port}"),
        ),
        {"inputs": [VALUES]},
        ready="/health",
        predict="/invocations",
        prepare=("{bin}/python", str(HERE / "servers/mlflow_save.py")),
    ),
)


def prepare(peer: Peer) -> Server:
    """Installs the peer if necessary, and trains its model. Raises BenchmarkError if that fails."""
    folder = HOME / peer.name.replace(" ", "-").lower()
    binaries = folder / "venv/bin"
    stamp = folder / "installed"
    if not stamp.exists():
        print(f"… installing {peer.name} into {folder}", file=sys.stderr, flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(folder / "venv")], HERE)
        packages = ["scikit-learn", *peer.requirements]
        _run([str(binaries / "python"), "-m", "pip", "install", "--quiet", *packages], HERE)
        script = str(HERE / "minimal_train.py")
        _run([str(binaries / "python"), script, "--out", str(folder)], HERE)
        if peer.prepare:
            _run([part.replace("{bin}", str(binaries)) for part in peer.prepare], folder)
        stamp.touch()
    for name, settings in _MLSERVER_SETTINGS.items():
        (folder / name).write_text(json.dumps(settings))
    return Server(
        peer.name,
        tuple(part.replace("{bin}", str(binaries)) for part in peer.command),
        json.dumps(peer.body),
        ready=peer.ready,
        predict=peer.predict,
        environment={
            "PATH": f"{binaries}:/usr/bin:/bin",
            "PYTHONPATH": str(HERE / "servers"),
            "MODEL": str(folder / "model.joblib"),
            "MLSERVER_HTTP_PORT": "{port}",
        },
        folder=folder,
    )


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"{' '.join(command)} failed: {done.stderr.strip()[-600:]}")
