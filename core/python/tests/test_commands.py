"""The other commands, and the command line."""

import json
import struct
import subprocess
import sys
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyflow
from benches.throughput import make
from project import NUMBERS, copied, variable


#: An evaluation of the model of `benches.throughput`: its label is right if it is the row's.
EVALUATION = """anyflow: 1
name: vectors
model: model.yaml
sources: {digits: rows.parquet}
data: {class: digits.label, columns: {label: digits.label}}
judges: {label: {score: label/one-hot}}
sampler: {kind: ddim, steps: 2}
rows: 8
seeds: [1]
tasks: {all: {generate: [label]}}
"""
#: The files of published models, as the Rust tests have them.
PUBLISHED = Path(__file__).parents[3] / "tests/corpus/published"


def write_published(name: str, folder: Path) -> None:
    """Writes the folder of a published model, with a file of two numbers for its weights."""
    head = json.dumps({"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    weights = struct.pack("<Q", len(head)) + head + bytes(4)
    for file, content in json.loads((PUBLISHED / f"{name}.json").read_text()).items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(weights if text == "weights" else text.encode())


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

    def test_eval(self) -> None:
        with TemporaryDirectory() as folder:
            make(Path(folder), 100)
            (Path(folder) / "eval.yaml").write_text(EVALUATION)
            done = anyflow.eval(Path(folder) / "eval.yaml", Path(folder) / "figures", threads=1, rows=6)
            self.assertEqual(done.path, Path(folder) / "figures")
            self.assertEqual(done.result, json.loads((done.path / "eval.json").read_text()))
            with self.assertRaises(anyflow.FilesError) as caught:
                anyflow.eval(Path(folder) / "eval.yaml", Path(folder) / "figures", thread=1)
            self.assertIn("did you mean the argument `threads`?", str(caught.exception))

    def test_adopt_writes_the_shipped_model_file(self) -> None:
        with TemporaryDirectory() as name:
            folder = Path(name)
            write_published("taesd", folder / "weights/taesd")
            text = anyflow.adopt(folder / "weights/taesd", folder / "taesd.yaml")
            self.assertEqual(text, (folder / "taesd.yaml").read_text())
            self.assertEqual(text, (anyflow.PIPELINES / "pretrained/taesd.yaml").read_text())
            self.assertEqual(anyflow.check(folder / "taesd.yaml").kind, "model")

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
