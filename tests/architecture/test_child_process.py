"""The harness for child processes: what they wrote, how they ended, and that none is left."""

import signal

import pytest
from tests.support.child_process import (
    ChildProcess,
    StillRunningError,
    ended_pid,
    python_command,
    run,
    run_python,
)
from tests.support.job_workers import is_alive
from tests.support.waiting import wait_until

ECHO = """
import sys
for line in sys.stdin:
    print(line.upper(), end="", flush=True)
    print(line.lower(), end="", flush=True, file=sys.stderr)
print("end")
sys.exit(3)
"""
# prints its grandchild's number, and waits as long as it does
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
child.wait()
"""


def test_lines_go_in_and_out() -> None:
    with ChildProcess(python_command(ECHO)) as child:
        child.write_line("One")
        assert (child.read_line(), child.read_error()) == ("ONE", "one")
        assert child.is_running
        child.write_line("Two")
        ended = child.finish()
    assert (ended.code, ended.out, ended.err) == (3, "TWO\nend\n", "two\n")
    with pytest.raises(AssertionError, match="ended with 3: TWO"):
        ended.check()


def test_a_command_runs_without_input() -> None:
    assert run_python("import sys; print(sys.stdin.read() == '', *sys.argv[1:])", 1, "a") == (
        "True 1 a\n"
    )


def test_a_process_that_does_not_end_is_killed_and_fails_the_test() -> None:
    with pytest.raises(StillRunningError, match="not ended in 1 s"):
        run(python_command("import time; time.sleep(600)"), timeout=1)


def test_no_process_of_a_group_is_left() -> None:
    with ChildProcess(python_command(PARENT), new_group=True) as parent:
        grandchild = int(parent.read_line())
        assert is_alive(grandchild)
    assert parent.wait() == -signal.SIGKILL
    wait_until(lambda: not is_alive(grandchild), "the end of the group")


def test_an_ended_process_is_gone() -> None:
    assert not is_alive(ended_pid())
