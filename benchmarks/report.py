"""What was measured, held against what is promised: ratios, and Markdown tables fit for the README."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Sample:
    """One turn of one server under load."""

    server: str
    model: str
    connections: int
    rate: float  # requests a second
    p50: float  # ms
    p99: float  # ms
    memory: float  # MB, after the load
    started_in: float  # seconds


@dataclass(frozen=True)
class Timing:
    """One run of something that is compared by its wall time."""

    what: str
    by: str
    seconds: float


@dataclass(frozen=True)
class Verdict:
    """A figure beside its target."""

    what: str
    seen: float
    target: float
    at_least: bool = True
    unit: str = "x"

    @property
    def met(self) -> bool:
        """Whether the target was reached in this run."""
        return self.seen >= self.target if self.at_least else self.seen <= self.target


@dataclass
class Report:
    """Everything that one run of the benchmark saw."""

    machine: dict[str, str | int]
    samples: list[Sample] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def figure(self, server: str, model: str, name: str, connections: int = 32) -> float | None:
        """The median of one figure of one server over all its turns; None where it was not measured."""
        found = [
            getattr(one, name)
            for one in self.samples
            if (one.server, one.model, one.connections) == (server, model, connections)
        ]
        return median(found) if found else None

    def seconds(self, what: str, by: str) -> float | None:
        """The median wall time; None where it was not measured."""
        found = [one.seconds for one in self.timings if (one.what, one.by) == (what, by)]
        return median(found) if found else None

    def verdicts(self) -> list[Verdict]:
        """Every target that this run can speak about."""
        return [*self._serving(), *self._batches(), *self._start(), *self._training()]

    def _serving(self) -> list[Verdict]:
        asked = [
            ("logreg", "FastAPI + joblib", 8),
            ("logreg", "echo", 0.4),
            ("rf", "FastAPI + joblib", 60),
        ]
        found = []
        for model, other, target in asked:
            ours, theirs = (self.figure(name, model, "rate") for name in ("Windlass", other))
            if ours and theirs:
                found.append(Verdict(f"{model}: requests/s against {other}", ours / theirs, target))
        return found

    def _batches(self) -> list[Verdict]:
        found = []
        ours, theirs = (
            self.seconds("10,000 JSON rows", by) for by in ("Windlass", "FastAPI + joblib")
        )
        if ours and theirs:
            found.append(Verdict("10,000 JSON rows against FastAPI + joblib", theirs / ours, 5))
        arrow = self.seconds("1,000,000 Arrow rows", "Windlass")
        if arrow:
            found.append(Verdict("Arrow stream", 1_000_000 / arrow, 500_000, unit="rows/s"))
        return found

    def _start(self) -> list[Verdict]:
        found = []
        for what, name, target, unit in (
            ("start to the first ready", "started_in", 1.3, "s"),
            ("memory of one worker", "memory", 130, "MB"),
        ):
            seen = self.figure("Windlass", "logreg", name)
            if seen:
                found.append(Verdict(what, seen, target, at_least=False, unit=unit))
        return found

    def _training(self) -> list[Verdict]:
        found = []
        for model in ("logreg", "rf"):
            what = f"training, {model}"
            ours, theirs = (self.seconds(what, by) for by in ("Windlass", "minimal script"))
            if ours and theirs:
                text = f"{what}: wall time against a minimal script"
                found.append(Verdict(text, ours / theirs, 1.6, at_least=False))
        return found

    def json(self) -> dict[str, Any]:
        """Every single measurement, and the verdicts."""
        verdicts = [asdict(one) | {"met": one.met} for one in self.verdicts()]
        return asdict(self) | {"verdicts": verdicts}

    def markdown(self) -> str:
        """The tables, and a line that says what they were measured on."""
        machine = self.machine
        measured = (
            f"Measured on {machine['processor']}, one core for the server and one for the load,"
            f" Python {machine['python']}. Medians; trust the ratios."
        )
        parts = [
            measured,
            self._servers_table(),
            self._timings_table(),
            _table(
                ["target", "seen", "promised", "met"],
                [
                    [
                        one.what,
                        f"{_number(one.seen)} {one.unit}",
                        f"{'≥' if one.at_least else '≤'} {_number(one.target)} {one.unit}",
                        "yes" if one.met else "**no**",
                    ]
                    for one in self.verdicts()
                ],
            ),
            "\n".join(f"- {failure}" for failure in self.failures),
        ]
        return "\n\n".join(part for part in parts if part)

    def _servers_table(self) -> str:
        rows = []
        for model, server in dict.fromkeys((one.model, one.server) for one in self.samples):
            asked = [(name, count) for count in (1, 32) for name in ("rate", "p50", "p99")]
            asked += [("memory", 32), ("started_in", 32)]
            figures = [_number(self.figure(server, model, name, count)) for name, count in asked]
            ours, rate = (self.figure(name, model, "rate") for name in ("Windlass", server))
            figures.append(f"{ours / rate:.2f}" if ours and rate else "-")
            rows.append([server, model, *figures])
        head = ["server", "model", "1 conn. req/s", "p50 ms", "p99 ms"]
        head += ["32 conn. req/s", "p50 ms", "p99 ms", "memory MB", "start s", "Windlass is x"]
        return _table(head, rows)

    def _timings_table(self) -> str:
        pairs = dict.fromkeys((one.what, one.by) for one in self.timings)
        rows = [[what, by, f"{self.seconds(what, by) or 0:.3f}"] for what, by in pairs]
        return _table(["work", "by", "seconds"], rows)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
