"""Finds the program ``anyflow`` and calls it."""

import importlib.util
import json
import os
import signal
import subprocess
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from anyflow.errors import AnyflowError, error_from_report

#: The folder of programs, plugins and pipelines in an installed package.
_SHIPPED = Path(__file__).parent / "dist"

#: The shipped pipelines, models, trainings and weights; in a checkout, those of the repository.
PIPELINES: Path = _SHIPPED / "pipelines" if _SHIPPED.is_dir() else Path(__file__).parents[3] / "pipelines"

#: Names the program in place of the installed one, for example that of a checkout.
_PROGRAM = "ANYFLOW_PROGRAM"

#: Seconds that a program gets to end after an interrupt.
_ENDING = 30.0


def program() -> Path:
    """The program ``anyflow``: the one that ``ANYFLOW_PROGRAM`` names, else the installed one.

    Raises:
        AnyflowError: There is none.
    """
    named = os.environ.get(_PROGRAM)
    path = Path(named) if named else _SHIPPED / "bin" / "anyflow"
    if path.is_file():
        return path
    remedy = f"{_PROGRAM} names it" if named else f"install the wheel, or set {_PROGRAM} to the program of a build"
    raise AnyflowError({"code": "program", "message": f"there is no program {path}; {remedy}", "exit_code": 1})


def environment() -> dict[str, str]:
    """The environment of the program: ``LIBTORCH`` is the user's, else the folder of the installed torch.

    Torch is found without importing it, which would take seconds.
    """
    variables = dict(os.environ)
    if not variables.get("LIBTORCH"):
        found = importlib.util.find_spec("torch")
        folders = (found.submodule_search_locations if found else None) or []
        variables.update({"LIBTORCH": folder for folder in folders if (Path(folder) / "lib").is_dir()})
    return variables


class Running:
    """A program that runs. It ends with this process, even if this process is killed.

    Args:
        arguments: The command and its arguments.
        out: Its standard output, as for `subprocess.Popen`.
        complaints: Its standard error.
    """

    def __init__(self, arguments: Sequence[str], out: int | IO[Any], complaints: int | IO[Any]) -> None:
        # The program ends when the other end of its standard input is gone.
        given, held = os.pipe()
        self._held: int | None = held
        try:
            self.process = subprocess.Popen(
                [program(), "--end-with-caller", *arguments],
                env=environment(),
                stdin=given,
                stdout=out,
                stderr=complaints,
                encoding="utf-8",
                errors="replace",
                # Ctrl-C in a terminal would reach the program twice, and the second one kills its engine.
                start_new_session=True,
            )
        except BaseException:
            self.release()
            raise
        finally:
            os.close(given)
        _held.add(self)

    def release(self) -> None:
        """Ends the program if it still runs and no other process holds it."""
        held, self._held = self._held, None
        if held is not None:
            os.close(held)


#: The programs that this process holds.
_held: "weakref.WeakSet[Running]" = weakref.WeakSet()


def _release_all() -> None:
    for running in list(_held):
        running.release()


# The program must end with the process that started it, even if a fork of that process lives on.
os.register_at_fork(after_in_child=_release_all)


def call(arguments: Sequence[str]) -> Any:
    """Runs a command and returns its result, the value of its JSON.

    An interrupt (Ctrl-C, or the stop button of a notebook) ends the program before it is raised again. Committed rows
    are kept.

    Args:
        arguments: The command and its arguments, without ``--json``.

    Raises:
        AnyflowError: The command failed.
    """
    code, out, complaints = _run([*arguments, "--json"])
    report = _parsed(out)
    # A result with another exit code than 0 is a finding, such as that of `doctor`.
    if code != 0 and (report is None or "error" in report):
        raise failure(code, out, complaints)
    return report


def failure(code: int, out: str, complaints: str) -> AnyflowError:
    """The exception for a program that failed, from its exit code and its output."""
    report = _parsed(out)
    if report is not None and "error" in report:
        return error_from_report(report["error"])
    return error_from_report({"code": "usage", "message": _bare(complaints), "exit_code": code})


def text(arguments: Sequence[str]) -> str:
    """Runs a command and returns the text that it prints for people.

    Raises:
        AnyflowError: The command failed.
    """
    code, out, complaints = _run(arguments)
    if code != 0:
        raise failure(code, "", complaints)
    return out


def _parsed(out: str) -> Any:
    try:
        return json.loads(out) if out.strip() else None
    except ValueError:
        return None


def _run(arguments: Sequence[str]) -> tuple[int, str, str]:
    running = Running(arguments, subprocess.PIPE, subprocess.PIPE)
    try:
        out, complaints = running.process.communicate()
    except BaseException:
        _end(running.process)
        raise
    finally:
        running.release()
    return running.process.returncode, out, complaints


def _end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=_ENDING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _bare(complaints: str) -> str:
    """The message, without what only helps at a command line."""
    message = complaints.strip().removeprefix("error: ").partition("\n\nFor more information, try")[0]
    return message or "the program ended without a message"
