"""Operations of the client, one for each call: which requests it sends, and what it makes of the responses."""

import json
import secrets
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from windlass.client.exchange import (
    Effect,
    OpenStream,
    Operation,
    ReadLine,
    Request,
    Response,
    RetryPolicy,
    Sleep,
    exchange,
    response_error,
)
from windlass.client.results import (
    DecisionInfo,
    DecisionLog,
    EntityFeatures,
    JobInfo,
    Prediction,
    Predictions,
    VersionInfo,
    parse,
    parse_features,
    parse_job,
    parse_version,
)
from windlass.core.progress import ProgressCallback
from windlass.errors import ClientError, RowsError, ServerUnreachableError, TrainingFailedError

MAX_IDS = 10_000  # of one request
_POLL_SECONDS = 1.0  # between two looks at a job where its events cannot be followed


@dataclass(frozen=True)
class TrainArguments:
    """Arguments of a training, and how long to wait for it (seconds; None: until its end)."""

    body: Mapping[str, Any]
    timeout: float | None
    progress: ProgressCallback


class Operations:
    """Operations on one project of a server, each a generator of effects (see `exchange`)."""

    def __init__(self, prefix: str, policy: RetryPolicy) -> None:
        """`prefix` is the path of the project's routes, "" at the root."""
        self._prefix = prefix
        self._policy = policy

    def predict(self, row: Any, version: str | None) -> Operation[Prediction]:
        """Predicts one row."""
        from windlass.core.json_rows import json_rows

        try:
            (body,) = json_rows([row])
        except RowsError as error:
            raise RowsError([{**each, "loc": each["loc"][1:]} for each in error.faults]) from error
        document = yield from self._json("POST", "/predict", _query(version=version), content=body)
        return parse(Prediction, document)

    def predict_batch(self, rows: Any, version: str | None) -> Operation[Predictions]:
        """Predicts many rows, in as many requests as they need."""
        from windlass.client.batches import predict_pieces

        path = f"{self._prefix}/predict_batch"
        return (yield from predict_pieces(rows, path, version, self._policy))

    def predict_by_id(
        self, entity: Any, at: str | None, version: str | None
    ) -> Operation[Prediction]:
        """Predicts from the stored features of one entity."""
        path = f"/predict/{_segment(entity)}"
        document = yield from self._json("POST", path, _query(at=at, version=version))
        return parse(Prediction, document)

    def predict_by_ids(
        self, entities: Sequence[Any], at: str | None, version: str | None
    ) -> Operation[list[Prediction]]:
        """Predicts from the stored features of many entities, one prediction for each id, in order."""
        predictions: list[Prediction] = []
        for start in range(0, len(entities), MAX_IDS):
            ids = list(entities[start : start + MAX_IDS])
            body = _dumps({"ids": ids})
            query = _query(at=at, version=version)
            document = yield from self._json("POST", "/predict_by_id", query, content=body)
            shared = {
                "model_version": document["model_version"],
                "prediction_id": document.get("prediction_id", ""),
            }
            _require_all(ids, document["results"])
            predictions += [parse(Prediction, {**shared, **each}) for each in document["results"]]
        return predictions

    def features(self, entity: Any, at: str | None) -> Operation[EntityFeatures]:
        """Reads the stored features of one entity."""
        path = f"/features/{_segment(entity)}"
        return parse_features((yield from self._json("GET", path, _query(at=at))))

    def features_of(
        self, entities: Sequence[Any], at: str | None
    ) -> Operation[list[EntityFeatures]]:
        """Reads the stored features of many entities, a result for each id, in order."""
        results: list[EntityFeatures] = []
        for start in range(0, len(entities), MAX_IDS):
            ids = list(entities[start : start + MAX_IDS])
            body = _dumps({"ids": ids})
            document = yield from self._json("POST", "/features", _query(at=at), content=body)
            _require_all(ids, document["results"])
            results += map(parse_features, document["results"])
        return results

    def status(self) -> Operation[dict[str, Any]]:
        """Reads the status of the project, or of all of a server that hosts several."""
        document: dict[str, Any] = yield from self._json("GET", "/status")
        return document

    def versions(self) -> Operation[list[VersionInfo]]:
        """Lists versions, newest first."""
        document = yield from self._json("GET", "/versions")
        return list(map(parse_version, document["versions"]))

    def version(self, name: str) -> Operation[VersionInfo]:
        """Reads one version."""
        return parse_version((yield from self._json("GET", f"/versions/{quote(name, safe='')}")))

    def compare(self, first: str, second: str) -> Operation[dict[str, Any]]:
        """Compares two versions."""
        path = f"/versions/{quote(first, safe='')}/compare/{quote(second, safe='')}"
        document: dict[str, Any] = yield from self._json("GET", path)
        return document

    def approve(self, version: str, reason: str) -> Operation[DecisionInfo]:
        """Approves a version."""
        return self._decide(f"/versions/{quote(version, safe='')}/approve", {"reason": reason})

    def reject(self, version: str, reason: str) -> Operation[DecisionInfo]:
        """Rejects a version."""
        return self._decide(f"/versions/{quote(version, safe='')}/reject", {"reason": reason})

    def rollback(self, reason: str, to: str | None) -> Operation[DecisionInfo]:
        """Returns to a version that was in production."""
        return self._decide("/rollback", {"reason": reason} | ({} if to is None else {"to": to}))

    def _decide(self, path: str, body: Mapping[str, Any]) -> Operation[DecisionInfo]:
        """Makes a decision, which is never sent twice."""
        content = _dumps(body)
        document = yield from self._json("POST", path, content=content, repeatable=False)
        return parse(DecisionInfo, document["decision"])

    def decisions(self) -> Operation[DecisionLog]:
        """Lists decisions, oldest first, and what is wrong with their chain."""
        document = yield from self._json("GET", "/decisions")
        decisions = tuple(parse(DecisionInfo, each) for each in document["decisions"])
        return DecisionLog(decisions, document["verified"], tuple(document["faults"]))

    def jobs(self, state: str | None, limit: int) -> Operation[list[JobInfo]]:
        """Lists jobs, newest first."""
        document = yield from self._json("GET", "/jobs", _query(state=state, limit=str(limit)))
        return list(map(parse_job, document["jobs"]))

    def job(self, job_id: str) -> Operation[JobInfo]:
        """Reads one job."""
        return parse_job((yield from self._json("GET", f"/jobs/{quote(job_id, safe='')}")))

    def cancel_job(self, job_id: str) -> Operation[JobInfo]:
        """Cancels a job: a second request for it would be refused."""
        path = f"/jobs/{quote(job_id, safe='')}"
        return parse_job((yield from self._json("DELETE", path, repeatable=False)))

    def train(self, arguments: TrainArguments) -> Operation[VersionInfo]:
        """Requests a training, follows its job to the end, and reads the version that it made."""
        headers = {"prefer": "respond-async", "idempotency-key": secrets.token_hex(16)}
        request = self._request("POST", "/train", content=_dumps(arguments.body), headers=headers)
        document = (yield from exchange(request, self._policy)).json()
        job = yield from self._wait(document["job_id"], arguments)
        if job.state != "succeeded" or job.result is None:
            reason = job.error or job.message or "no reason is known"
            outcome = "was cancelled" if job.state == "cancelled" else f"failed: {reason}"
            raise TrainingFailedError(f"Training {job.job_id} {outcome}", job.job_id)
        return (yield from self.version(job.result["version"]))

    def _wait(self, job_id: str, arguments: TrainArguments) -> Operation[JobInfo]:
        """Follows a job's events until it has ended; reads the job itself where they cannot be followed."""
        ends = None if arguments.timeout is None else time.monotonic() + arguments.timeout
        while True:
            job = yield from self.job(job_id)
            arguments.progress(job.progress, job.message)
            if job.is_final:
                return job
            with suppress(ServerUnreachableError):  # the next look says whether the server is there
                yield from self._listen(job_id, arguments.progress, ends)
            if ends is not None and time.monotonic() > ends:
                raise ClientError(
                    f"Training {job_id} has not ended in {arguments.timeout:g} s, and goes on."
                    f" Look at it with job({job_id!r}), or end it with cancel_job."
                )
            yield Sleep(_POLL_SECONDS)

    def _listen(
        self, job_id: str, progress: ProgressCallback, ends: float | None
    ) -> Operation[None]:
        """Reads a stream of events until the job has ended, the stream has, or the time is over."""
        response: Response = yield OpenStream(self._request("GET", f"/jobs/{job_id}/events"))
        if response.status != 200:  # 503: too many listen already
            if response.status not in (204, 429, 503):
                raise response_error(response)
            return
        event, last = "", None
        while (line := (yield ReadLine())) is not None:
            if ends is not None and time.monotonic() > ends:
                return
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: "):
                if event == "done":
                    return
                facts = json.loads(line.removeprefix("data: "))
                state = facts["progress"], facts["message"]
                if state != last:  # an event of progress and one of its message say the same
                    last = state
                    progress(*state)

    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> Request:
        kind = {"content-type": "application/json"} if content else {}
        merged = {**kind, "accept": "application/json", **(headers or {})}
        return Request(method, self._prefix + path, params or {}, merged, content, repeatable)

    def _json(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        content: bytes = b"",
        repeatable: bool = True,
    ) -> Generator[Effect, Any, Any]:
        request = self._request(method, path, params, content=content, repeatable=repeatable)
        return (yield from exchange(request, self._policy)).json()


def _query(**params: str | None) -> dict[str, str]:
    return {name: value for name, value in params.items() if value is not None}


def _dumps(body: Any) -> bytes:
    """Returns a body as JSON. Raises ClientError for what JSON cannot hold."""
    import orjson

    try:
        return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise ClientError(f"An argument cannot be sent as JSON: {error}.") from error


def _segment(entity: Any) -> str:
    """Returns an id as a segment of a path; the values of several columns are separated by commas."""
    values = entity if isinstance(entity, tuple) else (entity,)
    return ",".join(quote(str(value), safe="") for value in values)


def _require_all(ids: Sequence[Any], results: Sequence[Any]) -> None:
    if len(results) != len(ids):
        raise ClientError(
            f"The server answered {len(results)} ids of {len(ids)}. This is a fault of the server; please report it."
        )
