"""The other commands, and the command line."""

import json
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

import anyflow
from project import NUMBERS, copied, variable


class Commands(unittest.TestCase):
    def test_check(self) -> None:
        checked = anyflow.check(NUMBERS / "pipeline.yaml", input=NUMBERS / "rows.parquet")
        self.assertEqual((checked.kind, checked.warnings, checked.replaced_columns), ("pipeline", (), ("value",)))
        self.assertEqual(anyflow.check(NUMBERS / "train.yaml").kind, "training")

    def test_a_warning_has_its_place(self) -> None:
        overrides: dict[str, Any] = {"joint.sampler.eta": 0.5, "joint.sampler.kind": "dpmpp-2m"}
        checked = anyflow.check(NUMBERS / "pipeline.yaml", **overrides)
        self.assertEqual(len(checked.warnings), 1)
        self.assertIn("`eta`", checked.warnings[0].message)

    def test_plan(self) -> None:
        plan = anyflow.plan(NUMBERS / "pipeline.yaml", joint__sampler__steps=3)
        self.assertIn("3", str(plan))
        self.assertEqual(plan.job["name"], "numbers")
        self.assertTrue(plan._repr_svg_().startswith("<svg"))

    def test_train_and_resume(self) -> None:
        with copied() as project:
            first = anyflow.train(project / "train.yaml", project / "made", threads=1, diffusion__steps=4)
            self.assertTrue((first.path / "model.safetensors").is_file())
            self.assertTrue(first.result)
            again = anyflow.train(project / "train.yaml", project / "made", threads=1, diffusion__steps=4)
            self.assertEqual(again.path, project / "made")

    def test_adopt_refuses_a_folder_without_a_model(self) -> None:
        with copied() as project, self.assertRaises(anyflow.FilesError) as caught:
            anyflow.adopt(project, project / "adopted.yaml")
        self.assertIn(str(project), str(caught.exception))

    def test_explain(self) -> None:
        self.assertIn("eta", anyflow.explain("eta"))
        with self.assertRaises(anyflow.FilesError):
            anyflow.explain("no-such-key")

    def test_doctor_finds_everything_here(self) -> None:
        found = anyflow.doctor()
        self.assertTrue(found["ready"], found)
        self.assertEqual(found["engine"]["state"], "good")

    def test_doctor_returns_findings_where_a_run_cannot_work(self) -> None:
        with variable("LIBTORCH", "/no/such/folder"):
            found = anyflow.doctor()
        self.assertFalse(found["ready"])
        self.assertIn("/no/such/folder", found["libtorch"]["text"])


class CommandLine(unittest.TestCase):
    def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, "-m", "anyflow", *arguments], capture_output=True, text=True)

    def test_the_module_is_the_program(self) -> None:
        found = self.call("doctor", "--json")
        self.assertEqual(found.returncode, 0, found.stdout + found.stderr)
        self.assertTrue(json.loads(found.stdout)["ready"])
        self.assertIn("Usage: anyflow", self.call("--help").stdout)

    def test_it_imports_no_pyarrow(self) -> None:
        script = "import sys, anyflow.__main__; sys.exit('pyarrow' in sys.modules)"
        self.assertEqual(subprocess.run([sys.executable, "-c", script]).returncode, 0)

    def test_exit_codes_pass(self) -> None:
        self.assertEqual(self.call("check", "absent.yaml").returncode, 2)

    def test_libtorch_is_that_of_the_installed_torch(self) -> None:
        script = (
            "import sys; sys.path.insert(0, sys.argv[1]); from anyflow.program import environment;"
            " print(environment().get('LIBTORCH'))"
        )
        with copied() as project, variable("LIBTORCH", ""):
            (project / "torch/lib").mkdir(parents=True)
            (project / "torch/__init__.py").write_text("raise SystemExit('torch is imported')")
            done = subprocess.run([sys.executable, "-c", script, str(project)], capture_output=True, text=True)
            self.assertEqual(Path(done.stdout.strip()), project / "torch", done.stderr)


if __name__ == "__main__":
    unittest.main()
