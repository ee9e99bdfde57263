"""A tiny project of numbers, and parts that a machine may lack. `tests/tests/python.rs` makes the project."""

import contextlib
import importlib.util
import os
import shutil
import tempfile
import unittest
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

#: `model.yaml`, `pipeline.yaml`, `train.yaml`, `rows.parquet` with 24 rows, and `weights`.
NUMBERS = Path(os.environ["ANYFLOW_TEST_PROJECT"])

#: Options that make the same bytes wherever the rows come from.
SAME: dict[str, Any] = {"threads": 1, "batch_rows": 4}


def needs(name: str) -> "Callable[[type[unittest.TestCase]], type[unittest.TestCase]]":
    """Skips the tests of a class if a package is missing; in CI they fail, unless `ANYFLOW_WITHOUT` lists it."""
    agreed = name in os.environ.get("ANYFLOW_WITHOUT", "").split(",")
    is_there = importlib.util.find_spec(name) is not None
    skipped = not is_there and (agreed or not os.environ.get("CI"))
    return unittest.skipIf(skipped, f"skipped ({name}): this Python has no package {name}")


@contextlib.contextmanager
def copied() -> Generator[Path, None, None]:
    """A copy of the project."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        shutil.copytree(NUMBERS, project, ignore=shutil.ignore_patterns("plugins"))
        yield project


@contextlib.contextmanager
def variable(name: str, value: str) -> Generator[None, None, None]:
    """Sets a variable of the environment."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def own_engines() -> list[int]:
    """The engines of this process, which its programs have started."""
    engines = [process for process, _ in processes_with("anyflow-engine")]
    return [child for front in children_of(os.getpid()) for child in children_of(front) if child in engines]


def children_of(process: int) -> list[int]:
    """The processes that a process has started."""
    tasks = Path(f"/proc/{process}/task")
    with contextlib.suppress(OSError):
        return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]
    return []


def processes_with(argument: str) -> list[tuple[int, str]]:
    """The other processes whose command line contains a text: their ids and command lines."""
    found: list[tuple[int, str]] = []
    for folder in Path("/proc").iterdir():
        try:
            line = (folder / "cmdline").read_text() if folder.name.isdigit() else ""
        except OSError:
            continue
        if argument in line and folder.name != str(os.getpid()):
            found.append((int(folder.name), line))
    return found
