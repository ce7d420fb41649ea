"""Run the steps of CI: each one prints its commands and their output, then passes, fails or is skipped."""

import io
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TextIO

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_PYTHON_DOWNLOADS": "never"}
GRACE_SECONDS = 5
"""How long a stopped command may clean up, and how long its output may stay open after its end."""

_running: set[subprocess.Popen[str]] = set()


class StepError(Exception):
    """A step failed.

    Attributes:
        output: The output of the command that failed.
    """

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class StepSkippedError(Exception):
    """A step cannot run on this machine, or in the time that is left."""


@dataclass(slots=True)
class Step:
    """A step and its outcome.

    Attributes:
        log: Receives everything that the step prints.
        deadline: When its last command is stopped, on the monotonic clock.
        status: `passed`, `FAILED` or `skipped`.
        note: One line for the summary.
    """

    name: str
    log: TextIO
    deadline: float
    status: str = "passed"
    seconds: float = 0
    note: str = ""

    def say(self, text: str) -> None:
        """Print a line at once."""
        self.log.write(f"{text}\n")
        self.log.flush()

    def seconds_left(self) -> float:
        """Return the time until the deadline."""
        return max(0, self.deadline - time.monotonic())

    def require_seconds(self, seconds: float) -> None:
        """Skip the step if the deadline is too near."""
        if self.seconds_left() < seconds:
            raise StepSkippedError(f"it may need {seconds:.0f} s, and {self.seconds_left():.0f} s are left")

    def run(
        self,
        *command: str | Path,
        seconds: float = float("inf"),
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
        shown: str = "",
    ) -> str:
        """Run a command, print its output as it arrives, and return that output.

        Args:
            command: The program and its arguments.
            seconds: Stop the command after this time, or at the step's deadline if that is earlier.
            cwd: The folder in which the command runs.
            env: Variables that are set for this command only.
            shown: Print this instead of the command.

        Raises:
            StepError: The command cannot start, returns a nonzero exit code or is stopped.
        """
        self.say(f"$ {shown or shlex.join(map(str, command))}")
        seconds = min(seconds, self.seconds_left())
        if not seconds:
            raise StepError("no time is left")
        child, output = _start(command, cwd, env or {}), io.StringIO()
        reader = threading.Thread(target=_copy, args=(child.stdout, output, self.log), daemon=True)
        reader.start()
        program, exit_code = Path(command[0]).name, _wait(child, seconds)
        # A background process of the command may keep the pipe open, so this wait is bounded.
        reader.join(GRACE_SECONDS)
        text = output.getvalue().strip()
        if exit_code is None:
            raise StepError(f"{program} was stopped after {seconds:.0f} s")
        if exit_code:
            reason = last_line(text) or "it printed nothing"
            raise StepError(f"{program} returned exit code {exit_code}: {reason}", text)
        return text


def _start(command: Sequence[str | Path], cwd: Path, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a command in a process group of its own, which can be stopped as a whole."""
    try:
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **ENVIRONMENT, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            process_group=0,
        )
    except OSError as error:
        raise StepError(f"{command[0]} cannot start: {error.strerror}") from None
    _running.add(child)
    return child


def _copy(source: IO[str], *targets: TextIO) -> None:
    for line in source:
        for target in targets:
            target.write(line)
            target.flush()


def _wait(child: subprocess.Popen[str], seconds: float) -> int | None:
    """Return the exit code of a command, or stop its process group after some seconds and return None."""
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        # The child is reaped last: until then, no other process group can have its number.
        os.killpg(child.pid, signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return None
    finally:
        _running.discard(child)


def last_line(output: str) -> str:
    """Return the last line of an output, without the rule that pytest draws around it."""
    return output.rpartition("\n")[2].strip("= ")


Action = Callable[[Step], None]
Row = Sequence[tuple[str, Action]]
"""Named steps that run one after another."""


def row(*actions: Action) -> Row:
    """Return a row of steps that have the names of their functions."""
    return [(action.__name__, action) for action in actions]


class Stage:
    """Steps with one deadline and one summary."""

    def __init__(self, title: str, log: TextIO, seconds: float) -> None:
        self.steps: list[Step] = []
        self._title, self._log, self._started = title, log, time.monotonic()
        self._deadline = self._started + seconds

    def run_row(self, row: Row) -> None:
        """Run steps one after another, and print their output as it arrives."""
        self.steps += [_run_step(name, action, self._log, self._deadline) for name, action in row]

    def run_rows(self, *rows: Row, at_once: int = 1) -> None:
        """Run rows side by side, and print each step's output whole, in the order of the rows.

        Args:
            rows: Each row starts its steps in order.
            at_once: How many steps of a row run at the same time.
        """
        with ExitStack() as stack:
            pools = [stack.enter_context(ThreadPoolExecutor(at_once)) for _ in rows]
            futures = [
                pool.submit(_run_step, name, action, io.StringIO(), self._deadline)
                for pool, row in zip(pools, rows, strict=True)
                for name, action in row
            ]
            for future in futures:
                step = future.result()
                step.log.seek(0)
                shutil.copyfileobj(step.log, self._log)
                self._log.flush()
                self.steps.append(step)

    def summarize(self) -> list[Step]:
        """Print one line per step, and return the steps."""
        width = max(len(step.name) for step in self.steps)
        self._log.write(f"\n== {self._title}, after {time.monotonic() - self._started:.0f} s\n")
        for step in self.steps:
            line = f"{step.name:<{width}}  {step.status:<7}  {step.seconds:3.0f} s  {step.note}"
            self._log.write(f"{line.rstrip()}\n")
        self._log.flush()
        return self.steps


def _run_step(name: str, action: Action, log: TextIO, deadline: float) -> Step:
    step, started = Step(name, log, deadline), time.monotonic()
    step.say(f"\n== {name}")
    try:
        action(step)
    except StepSkippedError as reason:
        step.status, step.note = "skipped", str(reason)
    except StepError as error:
        step.status, step.note = "FAILED", str(error)
    except Exception as error:  # noqa: BLE001 - a bug in one step fails that step, and the others still run
        traceback.print_exc(file=log)
        step.status, step.note = "FAILED", repr(error)
    if step.status != "passed":
        step.say(f"{step.status}: {step.note}")
    step.seconds = time.monotonic() - started
    return step


def failures(steps: Sequence[Step]) -> list[str]:
    """Return the names of the steps that failed."""
    return [step.name for step in steps if step.status == "FAILED"]


def run_script(stage: Callable[[TextIO], list[Step]]) -> int:
    """Run a stage in the root folder of the project, and return the exit code."""
    os.chdir(ROOT)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit_on_signal)
    return int(bool(failures(stage(sys.stdout))))


def _exit_on_signal(number: int, _frame: object) -> None:
    """Terminate the running commands, since their process groups do not receive this signal."""
    for child in tuple(_running):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
    os._exit(128 + number)
