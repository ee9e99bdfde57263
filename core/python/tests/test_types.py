"""Hints and docstrings are complete."""

import inspect
import subprocess
import sys
import unittest
from pathlib import Path

import anyflow
from anyflow.ray import Anyflow, run_job
from project import needs


@needs("pyright")
class Types(unittest.TestCase):
    def test_pyright_is_content(self) -> None:
        command = [sys.executable, "-m", "pyright", "--project", str(Path(__file__).parents[1])]
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Docstrings(unittest.TestCase):
    def test_everything_public_is_documented(self) -> None:
        missing: list[str] = []
        for value in [*(getattr(anyflow, name) for name in anyflow.__all__), Anyflow, run_job]:
            if inspect.isclass(value) or inspect.isfunction(value):
                members = inspect.getmembers(value, lambda m: inspect.isfunction(m) or isinstance(m, property))
                public = [member for part, member in members if not part.startswith("_")]
                missing.extend(str(one) for one in [value, *public] if not inspect.getdoc(one))
        self.assertEqual(missing, [])


if __name__ == "__main__":
    unittest.main()
