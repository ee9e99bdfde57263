"""An engine that stays makes the rows of `anyflow.run`, and survives what ends it."""

import asyncio
import functools
import os
import signal
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, cast

import anyflow
import pyarrow as pa
from benches.throughput import make
from project import copied, needs, own_engines, processes_with, variable
from test_errors import MODEL, PIPELINE, TRAINING

JOINT = anyflow.PIPELINES / "mld/joint.yaml"
#: Longer than any test waits.
LONG: dict[str, Any] = {"rows": 64, "joint__sampler__steps": 1000}


@functools.cache
def project() -> TemporaryDirectory[str]:
    """A project whose pipeline makes two vectors of a label: the label's own, and one that is sampled."""
    folder = TemporaryDirectory()
    make(Path(folder.name), 100)
    return folder


def vectors() -> Path:
    """Its pipeline."""
    return Path(project().name) / "pipeline.yaml"


def labels(count: int) -> pa.Table:
    return pa.table({"word": [f"w{n}" for n in range(count)], "label": [n % 10 for n in range(count)]})


class Case(unittest.TestCase):
    engine: ClassVar[anyflow.Engine]

    @classmethod
    def setUpClass(cls) -> None:
        cls.engine = anyflow.Engine(threads=1)
        cls.addClassCleanup(cls.engine.close)

    def compare(self, made: anyflow.Rows, expected: anyflow.Rows) -> None:
        """Compares rows of numbers, of which some are sampled in other batches."""
        ours, theirs = made.to_table(), expected.to_table()
        self.assertEqual(ours.column_names, theirs.column_names)
        for name in ours.column_names:
            pairs = zip(ours[name].to_pylist(), theirs[name].to_pylist(), strict=True)
            for row, (our, their) in enumerate(pairs):
                if isinstance(our, list) and isinstance(their, list):
                    vectors = zip(cast("list[float]", our), cast("list[float]", their), strict=True)
                    self.assertLess(max(abs(a - b) for a, b in vectors), 1e-4, f"{name} of row {row}")
                else:
                    self.assertEqual(our, their, f"{name} of row {row}")


class Rows(Case):
    def test_they_are_those_of_run(self) -> None:
        made = self.engine.run(vectors(), labels(700), seed=3)
        self.compare(made, anyflow.run(vectors(), labels(700), seed=3, threads=1))
        self.assertEqual((len(made), made.result["rows"], made.failures.num_rows), (700, 700, 0))
        different = {tuple(vector) for vector in made.to_table()["sampled"].to_pylist()}
        self.assertEqual(len(different), 700, "the noise of each row is its own")

    def test_keys_keep_the_noise_of_their_rows(self) -> None:
        keyed = labels(300).append_column("id", pa.array([None, *range(1, 300)], pa.int64()))
        made = self.engine.run(vectors(), keyed)
        self.compare(made, anyflow.run(vectors(), keyed, threads=1))
        backwards = keyed.take(pa.array(range(299, 0, -1)))
        again = self.engine.run(vectors(), backwards).to_table().sort_by("id")
        self.compare(anyflow.Made(again), anyflow.Made(made.to_table().slice(1)))
        named = self.engine.run(vectors(), keyed, key="word", keep=["word"])
        self.compare(named, anyflow.run(vectors(), keyed, key="word", keep=["word"], threads=1))

    def test_failed_rows_keep_their_labels(self) -> None:
        given = [10 if n in (1, 257, 258) else 1 for n in range(600)]
        data = pa.table({"label": given, "row": list(range(600))})
        made = self.engine.run(vectors(), data)
        expected = anyflow.run(vectors(), data, threads=1)
        self.compare(made, expected)
        self.assertEqual(made.failures.to_pylist(), expected.failures.to_pylist())
        self.assertEqual(made.failures["row"].to_pylist(), [1, 257, 258])
        self.assertEqual(len(made), 597)

    def test_batches_one_after_another_and_a_limit(self) -> None:
        pieces = labels(700).to_batches(max_chunksize=90)
        self.assertEqual(len(self.engine.run(vectors(), iter(pieces), rows=333)), 333)

    def test_files_and_outputs(self) -> None:
        rows = vectors().with_name("rows.parquet")
        with TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            made = anyflow.run(vectors(), rows, out, threads=1)
            for data in (rows, [str(rows)], made, out):
                self.compare(self.engine.run(vectors(), data), made)

    def test_images_are_images(self) -> None:
        made = self.engine.run(JOINT, rows=2, joint__sampler__steps=2)
        self.assertEqual(made.media, {"image": anyflow.Image, "audio": anyflow.Audio})
        spoken = self.engine.run(anyflow.PIPELINES / "mld/image-to-audio.yaml", made, joint__sampler__steps=2)
        self.assertEqual(spoken[1]["audio"].mime_type, "audio/wav")
        self.assertEqual(spoken[0]["image"], made[0]["image"])

    def test_a_loaded_pipeline(self) -> None:
        loaded = self.engine.load(vectors(), seed=3)
        self.assertEqual(loaded.model, "vectors")
        made = self.engine.run(loaded, labels(20))
        self.compare(made, anyflow.run(vectors(), labels(20), seed=3, threads=1))
        self.assertTrue(self.engine.unload(loaded))
        self.assertFalse(self.engine.unload(loaded))
        with self.assertRaises(anyflow.FilesError):
            self.engine.run(loaded, labels(1), seed=4)


class Following(Case):
    def test_progress_grows_to_the_total(self) -> None:
        heard: list[anyflow.Progress] = []
        self.engine.run(JOINT, rows=4, joint__sampler__steps=40, progress=heard.append)
        done = [one.done for one in heard]
        self.assertEqual((done, {one.total for one in heard}), (sorted(done), {4}))
        self.assertEqual(done[-1], 4)
        self.assertGreater(len(done), 2, "steps are told")

    def test_previews_have_all_outputs(self) -> None:
        seen: list[anyflow.Preview] = []
        self.engine.run(JOINT, rows=2, joint__sampler__steps=60, on_preview=seen.append, preview_steps=10)
        self.assertTrue(seen)
        self.assertEqual((seen[0].node, list(seen[0].numbers), seen[0].steps), ("joint", [0, 1], 60))
        self.assertEqual(seen[0].rows[0]["image"].mime_type, "image/png")
        self.assertEqual(seen[0].rows.to_table().column_names, ["image", "audio", "text", "label"])

    def test_an_exception_of_a_follower_ends_the_run(self) -> None:
        def refuse(_: anyflow.Progress) -> None:
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            self.engine.run(JOINT, progress=refuse, **LONG)
        self.assertEqual(len(self.engine.run(JOINT, rows=1, joint__sampler__steps=2)), 1)

    def test_cancel(self) -> None:
        self.engine.load(JOINT)
        before = own_engines()
        begun = threading.Event()
        run = self.engine.submit(JOINT, progress=lambda _: begun.set(), **LONG)
        self.assertTrue(begun.wait(60))
        self.assertFalse(run.done())
        started = time.monotonic()
        run.cancel()
        with self.assertRaises(anyflow.Cancelled) as caught:
            run.result(60)
        self.assertEqual(caught.exception.code, "cancelled")
        self.assertLess(time.monotonic() - started, 10)
        self.assertEqual(len(self.engine.run(JOINT, rows=1, joint__sampler__steps=2)), 1)
        self.assertEqual(own_engines(), before, "the engine stays")


class Asynchronous(Case):
    def test_runs_share_the_engine(self) -> None:
        async def both() -> list[anyflow.Made]:
            runs = [self.engine.run_async(vectors(), labels(50), seed=seed) for seed in (1, 2)]
            return list(await asyncio.gather(*runs))

        first, second = asyncio.run(both())
        self.compare(first, anyflow.run(vectors(), labels(50), seed=1, threads=1))
        self.assertNotEqual(first.to_table()["sampled"].to_pylist(), second.to_table()["sampled"].to_pylist())

    def test_a_cancelled_task_cancels_its_run(self) -> None:
        runs: list[anyflow.Run] = []

        async def begin() -> anyflow.Made:
            runs.append(self.engine.submit(JOINT, **LONG))
            return await runs[0]

        async def cancel() -> None:
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(begin(), 2)

        asyncio.run(cancel())
        with self.assertRaises(anyflow.Cancelled):
            runs[0].result(60)


@needs("polars")
class Polars(Case):
    def test_frames_in_and_out(self) -> None:
        import polars

        made = self.engine.run(vectors(), polars.DataFrame(labels(3))).to_polars()
        self.assertEqual(made.height, 3)
        self.assertEqual(made["word"].to_list(), ["w0", "w1", "w2"])


@needs("datasets")
class HuggingFace(Case):
    def test_a_dataset_with_images(self) -> None:
        made = self.engine.run(JOINT, rows=2, joint__sampler__steps=2)
        spoken = self.engine.run(anyflow.PIPELINES / "mld/image-to-audio.yaml", made, joint__sampler__steps=2)
        opened = spoken.to_datasets()
        self.assertEqual(opened.select_columns(["image"])[0]["image"].size, (28, 28))
        self.assertEqual(type(opened.features["audio"]).__name__, "Audio")
        again = self.engine.run(anyflow.PIPELINES / "mld/image-to-audio.yaml", opened, joint__sampler__steps=2)
        self.assertEqual(again[1]["audio"], spoken[1]["audio"])


@needs("tqdm")
class Tqdm(Case):
    def test_a_bar(self) -> None:
        import contextlib
        import io

        screen = io.StringIO()
        with contextlib.redirect_stderr(screen):
            self.engine.run(vectors(), labels(600), progress=True)
        self.assertIn("600", screen.getvalue())
        self.assertIn("vectors", screen.getvalue())


class Errors(Case):
    def test_mistakes_have_their_places(self) -> None:
        with copied() as project:
            file = project / "pipeline.yaml"
            file.write_text(file.read_text().replace("joint.numbers", "joint.number"))
            with self.assertRaises(anyflow.FilesError) as caught:
                self.engine.run(file, labels(1))
        self.assertEqual((caught.exception.code, caught.exception.file), ("plan", str(file)))

    def test_wrong_rows_are_refused(self) -> None:
        cases: list[tuple[str, Any, dict[str, Any]]] = [
            ("absent.parquet", "absent.parquet", {}),
            ("no column", pa.table({"other": [1.0]}), {}),
            ("reads rows", None, {"rows": 3}),
            ("no column 'absent'", labels(1), {"key": "absent"}),
            ("no column 'absent'", labels(1), {"keep": ["absent"]}),
            ("id", labels(1).append_column("id", pa.array([1.5])), {}),
        ]
        for text, data, given in cases:
            with self.subTest(text), self.assertRaises(anyflow.FilesError) as caught:
                self.engine.run(vectors(), data, **given)
            self.assertIn(text, str(caught.exception))
        with self.assertRaises(anyflow.FilesError):
            self.engine.run(JOINT, labels(1))
        with self.assertRaises(anyflow.FilesError):
            self.engine.run(JOINT)

    def test_wrong_options_are_refused(self) -> None:
        with anyflow.Engine(device="abacus") as engine, self.assertRaises(anyflow.AnyflowError) as caught:
            engine.run(vectors(), labels(1))
        self.assertIn("abacus", str(caught.exception))
        with anyflow.Engine(memory="much") as engine, self.assertRaises(anyflow.FilesError) as caught:
            engine.run(vectors(), labels(1))
        self.assertIn("`memory`", str(caught.exception))

    def test_a_closed_engine_is_refused(self) -> None:
        engine = anyflow.Engine(threads=1)
        engine.close()
        with self.assertRaises(anyflow.RunError) as caught:
            engine.run(vectors(), labels(1))
        self.assertEqual(caught.exception.code, "closed")

    def test_a_run_in_an_engine_that_closes_says_so(self) -> None:
        begun = threading.Event()
        with anyflow.Engine(threads=1) as engine:
            run = engine.submit(JOINT, progress=lambda _: begun.set(), **LONG)
            self.assertTrue(begun.wait(60))
        with self.assertRaises(anyflow.RunError) as caught:
            run.result(60)
        self.assertEqual(caught.exception.code, "closed")
        self.assertIn("without a result", str(caught.exception))
        self.assertNotIn("committed", str(caught.exception))


class Deaths(unittest.TestCase):
    def test_a_crash_of_a_plugin_names_it_and_the_next_run_works(self) -> None:
        with copied() as project:
            for name, text in [("model.yaml", MODEL), ("train.yaml", TRAINING), ("pipeline.yaml", PIPELINE)]:
                (project / name).write_text(text)
            anyflow.train(project / "train.yaml", project / "trained", threads=1)
            values = pa.table({"value": [1.0] * 1000})
            with variable("ENDS", "encode crash"):
                engine = anyflow.Engine(threads=1)
                self.addCleanup(engine.close)
                with self.assertRaises(anyflow.PluginError) as caught:
                    engine.run(project / "pipeline.yaml", values)
            death = caught.exception.death
            assert death is not None
            self.assertEqual((death.plugin, death.component, death.signal), ("ends", "ends/number", 11))
            self.assertEqual(caught.exception.code, "engine.died")
            self.assertEqual(len(engine.run(project / "pipeline.yaml", values)), 1000)

    def test_a_killed_engine_is_an_exception_and_the_next_run_works(self) -> None:
        with anyflow.Engine(threads=1) as engine:
            engine.load(JOINT)
            begun = threading.Event()
            run = engine.submit(JOINT, progress=lambda _: begun.set(), **LONG)
            self.assertTrue(begun.wait(60))
            for process in own_engines():
                os.kill(process, signal.SIGKILL)
            with self.assertRaises(anyflow.RunError) as caught:
                run.result(60)
            assert caught.exception.death is not None
            self.assertEqual(caught.exception.death.signal, 9)
            self.assertEqual(len(engine.run(JOINT, rows=1, joint__sampler__steps=2)), 1)
            # An engine that dies while nobody uses it is no error.
            for process in own_engines():
                os.kill(process, signal.SIGKILL)
            self.assertEqual(len(engine.run(JOINT, rows=1, joint__sampler__steps=2)), 1)

    def test_no_process_stays(self) -> None:
        script = (
            "import sys, anyflow\n"
            "engine = anyflow.Engine(threads=1)\n"
            "engine.load(sys.argv[1])\n"
            "print('ready', flush=True)\n"
            "sys.stdin.read()\n"
        )
        for end in (signal.SIGKILL, signal.SIGINT, None):
            with self.subTest(end), copied() as project:
                command = [sys.executable, "-c", script, str(project / "pipeline.yaml")]
                # The socket's folder marks the engine of this process.
                variables = {**os.environ, "TMPDIR": str(project)}
                pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
                process = subprocess.Popen(command, env=variables, text=True, **pipes)
                assert process.stdout is not None and process.stdin is not None
                self.assertEqual(process.stdout.readline(), "ready\n")
                self.assertTrue(processes_with(str(project)))
                if end is not None:
                    process.send_signal(end)
                process.communicate(timeout=60)
                deadline = time.monotonic() + 20
                while processes_with(str(project)) and time.monotonic() < deadline:
                    time.sleep(0.05)
                self.assertEqual(processes_with(str(project)), [])
                if end is not signal.SIGKILL:
                    self.assertEqual(list(Path(project).glob("anyflow-*")), [])


if __name__ == "__main__":
    unittest.main()
