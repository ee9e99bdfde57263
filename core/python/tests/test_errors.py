"""What goes wrong is an exception with code, file, line and message."""

import pickle
import signal
import subprocess
import sys
import time
import unittest
from typing import Any

import anyflow
import pyarrow as pa
import pyarrow.parquet as pq
from anyflow.optional import package
from project import NUMBERS, copied, processes_with, variable

MODEL = """anyflow: 1
name: m
checkpoint: trained/model.safetensors
streams: {numbers: {codec: ends/number, module: faults/copy, latent: [1]}}
denoisers: {only: {over: [numbers], network: {kind: residual-mlp, width: 8, blocks: 1}, predict: x0}}
"""
TRAINING = """anyflow: 1
name: t
model: model.yaml
sources: {rows: rows.parquet}
data: {all: {columns: {numbers: rows.value}}}
stages: [{name: statistics, objective: {kind: statistics}, data: all}]
"""
PIPELINE = """anyflow: 1
name: p
model: model.yaml
inputs: {seen: {modality: text, column: value}}
nodes:
  within: {encode: faults/copy, from: seen}
  back: {decode: faults/copy, from: within}
outputs: {value: back}
"""


class Errors(unittest.TestCase):
    def test_every_mistake_has_its_place(self) -> None:
        with copied() as project:
            file = project / "pipeline.yaml"
            text = file.read_text().replace("scaled/copy, from: seen", "scaled/copi, from: seen")
            file.write_text(text.replace("joint.numbers", "joint.number"))
            with self.assertRaises(anyflow.FilesError) as caught:
                anyflow.run(file, NUMBERS / "rows.parquet", project / "out")
        error = caught.exception
        self.assertEqual((error.code, error.exit_code, error.file), ("plan", 2, str(file)))
        lines = [text.splitlines()[problem.line - 1][problem.column - 1 :] for problem in error.problems]
        self.assertEqual(error.line, error.problems[0].line)
        self.assertEqual(error.column, error.problems[0].column)
        self.assertTrue(lines[0].startswith("scaled/copi"), lines)
        self.assertTrue(lines[1].startswith("joint.number"), lines)
        self.assertIn("scaled/copy", error.problems[0].message)
        for problem in error.problems:
            self.assertIn(problem.code, anyflow.explain(problem.code))
            self.assertIn(str(problem), str(error))

    def test_a_missing_file_is_named(self) -> None:
        with self.assertRaises(anyflow.FilesError) as caught:
            anyflow.check("absent.yaml")
        self.assertEqual(caught.exception.code, "read")
        self.assertIn("absent.yaml", str(caught.exception))
        self.assertIsNone(caught.exception.line)

    def test_a_wrong_option_is_an_error_of_its_own(self) -> None:
        with self.assertRaises(anyflow.FilesError) as caught:
            anyflow.run(NUMBERS / "pipeline.yaml", NUMBERS / "rows.parquet", shard_rows=0)
        self.assertEqual(caught.exception.code, "usage")
        self.assertIn("`shard_rows`", str(caught.exception))

    def test_a_name_that_is_no_argument_is_told_with_the_right_one(self) -> None:
        cases: list[tuple[dict[str, Any], str, str]] = [
            ({"thread": 1}, "did you mean the argument `threads`?", "`threads` is an argument of anyflow.Engine()"),
            ({"row": 1}, "did you mean the argument `rows`?", "did you mean the argument `rows`?"),
            ({"progress": True}, "`progress` is an argument of Engine.run()", ""),
            ({"threads": 1}, "", "is an argument of anyflow.Engine()"),
            ({"where": "label = 1"}, "", "is an argument of anyflow.run()"),
        ]
        with anyflow.Engine(threads=1) as engine:
            for given, in_files, in_engine in cases:
                for run, said in ((anyflow.run, in_files), (engine.run, in_engine)):
                    if said:
                        with self.subTest(given), self.assertRaises(anyflow.FilesError) as caught:
                            run(NUMBERS / "pipeline.yaml", NUMBERS / "rows.parquet", **given)
                        self.assertIn(said, str(caught.exception))

    def test_messages_speak_of_arguments(self) -> None:
        data = pq.read_table(NUMBERS / "rows.parquet")
        cases: list[tuple[str, dict[str, Any]]] = [
            ("invalid value 'much' for `memory`", {"memory": "much"}),
            ("no rows that `where` and `skip` select: the data", {"where": "label = 7"}),
            ("the data: no column `absent`", {"key": "absent"}),
            ("overrides:1:", {"joint__sampler__step": 4}),
            ("rows is -1", {"rows": -1}),
            ("rows is 0", {"rows": 0}),
            ("rows is 1.5", {"rows": 1.5}),
        ]
        for said, given in cases:
            with self.subTest(given), self.assertRaises(anyflow.FilesError) as caught:
                anyflow.run(NUMBERS / "pipeline.yaml", data, **given)
            self.assertIn(said, str(caught.exception))
            self.assertNotIn("--", str(caught.exception))
            self.assertNotIn("anyflow-", str(caught.exception), "no temporary folder")
        with self.assertRaises(anyflow.FilesError) as caught:
            anyflow.run(NUMBERS / "pipeline.yaml")
        self.assertIn("with `data`", str(caught.exception))

    def test_numbers_below_one_are_refused_by_an_engine(self) -> None:
        joint = anyflow.PIPELINES / "mld/joint.yaml"
        with anyflow.Engine(threads=1) as engine:
            numbers: list[dict[str, Any]] = [{"rows": -1}, {"rows": 0}, {"rows": 1, "preview_steps": 0}]
            for given in numbers:
                for pipeline, data in ((joint, None), (NUMBERS / "pipeline.yaml", NUMBERS / "rows.parquet")):
                    with self.subTest(given), self.assertRaises(anyflow.FilesError) as caught:
                        engine.run(pipeline, data, **given)
                    self.assertIn("at least 1", str(caught.exception))

    def test_a_missing_package_is_named(self) -> None:
        with self.assertRaises(anyflow.AnyflowError) as caught:
            package("no_such_package.part", "progress=True")
        self.assertEqual(caught.exception.code, "package")
        self.assertIn("progress=True needs the package no_such_package", str(caught.exception))
        self.assertIn("pip install no_such_package", str(caught.exception))

    def test_errors_travel_between_processes(self) -> None:
        with self.assertRaises(anyflow.FilesError) as caught:
            anyflow.check("absent.yaml")
        copy = pickle.loads(pickle.dumps(caught.exception))
        self.assertIsInstance(copy, anyflow.FilesError)
        self.assertEqual((copy.code, copy.message), (caught.exception.code, caught.exception.message))

    def test_a_missing_program_says_what_to_do(self) -> None:
        with variable("ANYFLOW_PROGRAM", "/no/such/program"), self.assertRaises(anyflow.AnyflowError) as caught:
            anyflow.doctor()
        self.assertIn("ANYFLOW_PROGRAM", str(caught.exception))


class FailedRows(unittest.TestCase):
    """A run whose rows all failed, or too many of them, is an error that says why, wherever its output was."""

    def check_failure(self, error: anyflow.RunError, failed: int, row: int) -> None:
        for one in (error, pickle.loads(pickle.dumps(error))):
            first = one.first_failure
            assert first is not None
            self.assertEqual((one.code, one.exit_code, one.failed), ("run", 1, failed))
            self.assertEqual((first.row, first.node, first.code), (row, "within", "module"))
            self.assertIn(f"row {row} failed in `within`: {first.text}", str(one))

    def test_all_of_them(self) -> None:
        data = pa.table({"value": [float("nan")] * 3})
        with anyflow.Engine(threads=1) as engine:
            for run in (anyflow.run, engine.run):
                with self.assertRaises(anyflow.RunError) as caught:
                    run(NUMBERS / "pipeline.yaml", data)
                self.check_failure(caught.exception, 3, 0)
                self.assertTrue(str(caught.exception).startswith("none of the 3 rows succeeded; row 0"), caught.exception)

    def test_too_many(self) -> None:
        data = pa.table({"value": [1.0, float("nan"), 2.0]})
        with copied() as project:
            for output in (None, project / "out"):
                with self.assertRaises(anyflow.RunError) as caught:
                    anyflow.run(NUMBERS / "pipeline.yaml", data, output, max_failures=0)
                self.check_failure(caught.exception, 1, 1)
                self.assertEqual("failures.parquet" in str(caught.exception), output is not None)


class Crashes(unittest.TestCase):
    def test_a_crash_of_a_plugin_is_an_exception_that_names_it(self) -> None:
        with copied() as project:
            for name, text in [("model.yaml", MODEL), ("train.yaml", TRAINING), ("pipeline.yaml", PIPELINE)]:
                (project / name).write_text(text)
            anyflow.train(project / "train.yaml", project / "trained", threads=1)
            data = pq.read_table(NUMBERS / "rows.parquet")
            with variable("ENDS", "encode crash"), self.assertRaises(anyflow.PluginError) as caught:
                anyflow.run(project / "pipeline.yaml", data, threads=1)
            # The same call without the crash: this process is as good as before.
            self.assertEqual(len(anyflow.run(project / "pipeline.yaml", data, threads=1)), 24)
        death = caught.exception.death
        assert death is not None
        self.assertEqual((death.plugin, death.component, death.signal), ("ends", "ends/number", 11))


class Interrupts(unittest.TestCase):
    #: Runs a pipeline that takes far longer than the test waits.
    SCRIPT = """
import signal
import sys
import anyflow
import pyarrow as pa

# A shell's background jobs inherit that this signal is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
batches = (pa.RecordBatch.from_pydict({"value": [float(n) for n in range(50_000)]}) for _ in range(40))
anyflow.run(sys.argv[1], batches, sys.argv[2], threads=1, shard_rows=64, batch_rows=4)
"""

    def test_an_interrupt_ends_the_programs(self) -> None:
        with copied() as project:
            out = project / "out"
            command = [sys.executable, "-c", self.SCRIPT, str(project / "pipeline.yaml"), str(out)]
            process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            deadline = time.monotonic() + 120
            while not list(out.glob("commits/*.json")):
                self.assertIsNone(process.poll(), "it ends before the interrupt")
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, complaints = process.communicate(timeout=60)
            self.assertIn("KeyboardInterrupt", complaints)
            self.assertEqual(processes_with(str(project)), [])
            self.assertFalse((out / "manifest.json").exists())


if __name__ == "__main__":
    unittest.main()
