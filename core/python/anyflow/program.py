"""Finds the program ``anyflow`` and calls it."""

import importlib.util
import json
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    try:
        report: Any = json.loads(out) if out.strip() else None
    except ValueError:
        report = None
    # A result with another exit code than 0 is a finding, such as that of `doctor`.
    if code != 0 and "error" in (report or {}):
        raise error_from_report(report["error"])
    if code != 0 and report is None:
        raise error_from_report({"code": "usage", "message": _without_prefix(complaints), "exit_code": code})
    return report


def text(arguments: Sequence[str]) -> str:
    """Runs a command and returns the text that it prints for people.

    Raises:
        AnyflowError: The command failed.
    """
    code, out, complaints = _run(arguments)
    if code != 0:
        raise error_from_report({"code": "usage", "message": _without_prefix(complaints), "exit_code": code})
    return out


def _run(arguments: Sequence[str]) -> tuple[int, str, str]:
    process = subprocess.Popen(
        [program(), *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        # Ctrl-C in a terminal would reach the program twice, and the second one kills its engine.
        start_new_session=True,
    )
    try:
        out, complaints = process.communicate()
    except BaseException:
        _end(process)
        raise
    return process.returncode, out, complaints


def _end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=_ENDING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _without_prefix(complaints: str) -> str:
    return complaints.strip().removeprefix("error: ") or "the program ended without a message"
