"""JSON logs: one object a line, with every extra field and the traceback inside it."""

import json
import logging
import os
import sys
from queue import Queue

import pytest
from tests.support.child_process import TIMEOUT, python_command, run, run_python

from windlass.logs import DropOldestHandler, JsonFormatter, set_up_logs, timestamp


def record(**extra: object) -> logging.LogRecord:
    log_record = logging.LogRecord(
        "windlass.test", logging.WARNING, __file__, 1, "%d rows", (3,), None
    )
    vars(log_record).update(extra)
    return log_record


def test_a_record_is_one_json_object_with_its_extras() -> None:
    line = JsonFormatter().format(record(project="iris", note="two\nlines"))
    assert "\n" not in line
    entry = json.loads(line)
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "warning",
        "logger": "windlass.test",
        "event": "3 rows",
        "project": "iris",
        "note": "two\nlines",
    }


def test_an_exception_stays_within_its_line() -> None:
    log_record = record()
    try:
        raise ValueError("no")
    except ValueError:
        log_record.exc_info = sys.exc_info()
    line = JsonFormatter().format(log_record)
    assert "\n" not in line
    assert "ValueError: no" in json.loads(line)["exception"]


def test_values_that_json_cannot_hold_are_still_logged() -> None:
    assert json.loads(JsonFormatter().format(record(thing={1}))).get("thing") == "{1}"


def test_timestamps_are_utc_to_the_millisecond() -> None:
    assert timestamp(86400.25) == "1970-01-02T00:00:00.250Z"


def test_set_up_sends_everything_from_the_level_up_to_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    set_up_logs("WARNING", TIMEOUT)
    logging.getLogger("windlass.x").info("quiet")
    logging.getLogger("windlass.x").error("heard")
    root.handlers[0].flush()
    captured = capsys.readouterr()
    assert [json.loads(line)["event"] for line in captured.err.splitlines()] == ["heard"]
    assert not captured.out


def test_logging_does_not_wait_for_a_reader() -> None:
    code = """
import logging, os, sys, time
from windlass.logs import set_up_logs
set_up_logs("INFO")
started = time.monotonic()
for _ in range(30_000):
    logging.getLogger("windlass.x").info("x" * 100)
print(time.monotonic() - started < 20, flush=True)
"""
    reader, writer = os.pipe()
    ended = run(python_command(code), stderr=writer)
    os.close(reader)
    os.close(writer)
    assert ended.check() == "True\n"


def test_the_oldest_lines_are_dropped_when_the_queue_is_full() -> None:
    lines: Queue[str] = Queue(3)
    handler = DropOldestHandler(lines)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for number in range(5):
        handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "line %d", (number,), None))
    assert [lines.get_nowait() for _ in range(lines.qsize())] == ["line 2", "line 3", "line 4"]
    assert (
        lines.unfinished_tasks == 3
    )  # the dropped ones count as done, or a flush would wait for them


def test_a_flush_waits_for_no_longer_than_its_limit() -> None:
    handler = DropOldestHandler(Queue(3), flush_seconds=0.01)
    handler.emit(record())
    handler.flush()  # nothing reads the queue


def test_what_is_queued_at_exit_is_written() -> None:
    code = """
import logging
from windlass.logs import set_up_logs
set_up_logs("INFO")
for number in range(1_000):
    logging.getLogger("windlass.x").info("line %d", number)
"""
    ended = run(python_command(code))
    assert ended.code == 0
    events = [json.loads(line)["event"] for line in ended.err.splitlines()]
    assert events == [f"line {number}" for number in range(1_000)]


def test_a_closed_standard_error_ends_no_logging() -> None:
    code = """
import logging, sys
from windlass.logs import set_up_logs
set_up_logs("INFO")
sys.stderr.close()
logging.getLogger("windlass.x").info("unheard")
logging.getLogger().handlers[0].flush()
print("alive")
"""
    assert run_python(code) == "alive\n"
