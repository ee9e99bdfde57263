"""Exceptions: what the programs report, with code, file, line and message."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One mistake in a file, or a warning about one. ``anyflow.explain(code)`` says more."""

    code: str
    message: str
    file: str
    #: From 1.
    line: int
    #: In characters, from 1.
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


@dataclass(frozen=True)
class Death:
    """How the engine died, and in which call into a plugin."""

    plugin: str | None
    node: str | None
    component: str | None
    call: str | None
    signal: int | None
    exit_status: int | None
    #: The last lines of the engine's log.
    log: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """A row that failed."""

    #: Its number, from 0.
    row: int
    row_key: str
    #: The node that failed it.
    node: str
    code: str
    #: Why it failed.
    text: str

    def __str__(self) -> str:
        return f"row {self.row} failed in `{self.node}`: {self.text}"


class AnyflowError(Exception):
    """A command failed. See the subclasses for who must act.

    Args:
        report: The value of ``error`` in the JSON that the program prints.
    """

    def __init__(self, report: Mapping[str, Any]) -> None:
        super().__init__(report)
        #: What the program reported.
        self.report: Mapping[str, Any] = report
        #: The stable code of the error.
        self.code: str = report["code"]
        #: What is wrong, what was found, and what to do.
        self.message: str = report["message"]
        #: The exit code of the command: 1 the run failed, 2 files or arguments are wrong, 3 a plugin is wrong.
        self.exit_code: int = report["exit_code"]
        #: Every mistake in the files, in their order.
        self.problems: tuple[Problem, ...] = problems_from(report.get("errors", []))
        #: Set if the engine died.
        self.death: Death | None = _death_from(report.get("engine"))
        #: How many rows failed, if they are why the run failed.
        self.failed: int = report.get("failed", 0)
        #: The first of them.
        self.first_failure: Failure | None = Failure(**report["first_failure"]) if "first_failure" in report else None

    @property
    def file(self) -> str | None:
        """The file of the first mistake."""
        return self.problems[0].file if self.problems else None

    @property
    def line(self) -> int | None:
        """The line of the first mistake, from 1."""
        return self.problems[0].line if self.problems else None

    @property
    def column(self) -> int | None:
        """The column of the first mistake, from 1."""
        return self.problems[0].column if self.problems else None

    def __str__(self) -> str:
        return self.message


class RunError(AnyflowError):
    """The run failed. Look at the machine: memory, disk, libtorch. Committed rows are kept."""


class FilesError(AnyflowError):
    """Your files or arguments are wrong."""


class PluginError(AnyflowError):
    """A plugin is wrong, or crashed: ``death`` then names it."""


class Cancelled(AnyflowError):
    """The run was cancelled."""

    def __init__(self, report: Mapping[str, Any] | None = None) -> None:
        super().__init__(report or {"code": "cancelled", "message": "the run was cancelled", "exit_code": 1})


def wrong(code: str, message: str) -> FilesError:
    """The exception for files or arguments that are wrong."""
    return FilesError({"code": code, "message": message, "exit_code": 2})


def rows_failed(message: str, count: int, first: Mapping[str, Any]) -> RunError:
    """The exception for a run that its failed rows ended.

    Args:
        message: What ended it.
        count: How many rows failed.
        first: The first of them, as the programs name it.
    """
    failure = {item.name: first[item.name] for item in fields(Failure)}
    text = f"{message}; {Failure(**failure)}"
    return RunError({"code": "run", "message": text, "exit_code": 1, "failed": count, "first_failure": failure})


def error_from_report(report: Mapping[str, Any]) -> AnyflowError:
    """The exception for an error of the program, by its exit code."""
    kinds: dict[int, type[AnyflowError]] = {1: RunError, 2: FilesError, 3: PluginError}
    return kinds.get(report["exit_code"], RunError)(report)


def problems_from(diagnostics: list[dict[str, Any]]) -> tuple[Problem, ...]:
    """The problems for errors or warnings in the JSON of the program."""

    def problem(diagnostic: dict[str, Any]) -> Problem:
        place = diagnostic["place"]
        position = (place["file"], place["line"], place["column"])
        return Problem(diagnostic["code"], diagnostic["message"], *position)

    return tuple(problem(diagnostic) for diagnostic in diagnostics)


def _death_from(report: dict[str, Any] | None) -> Death | None:
    if report is None:
        return None
    names = ("plugin", "node", "component", "call", "signal", "exit_status")
    return Death(**{name: report.get(name) for name in names}, log=tuple(report.get("log", [])))
