"""A local Ray cluster with two workers maps rows as the command line does."""

import contextlib
import os
import random
import signal
import sys
import threading
import time
import unittest
from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyflow
import anyflow.ray
import pyarrow as pa
import pyarrow.parquet as pq
from project import children_of, needs, processes_with
from store import put, store

#: Draws and speaks a digit; the noise of a row makes each another.
PIPELINE = anyflow.PIPELINES / "mld/label-to-image-audio.yaml"

#: Options that make the same bytes, if the batches are the shards of the run.
OPTIONS: dict[str, Any] = {"threads": 1, "batch_rows": 4, "joint__sampler__steps": 2}


def rows(count: int) -> pa.Table:
    return pa.table({"id": list(range(count)), "label": [n % 2 for n in range(count)]})


class Batches(unittest.TestCase):
    def test_batches_do_not_change_the_rows(self) -> None:
        mapped = anyflow.ray.Anyflow(PIPELINE, **OPTIONS)
        parts = [mapped(rows(16).slice(at, 4)) for at in range(0, 16, 4)]
        whole = anyflow.run(PIPELINE, rows(16), shard_rows=4, **OPTIONS)
        self.assertTrue([row for part in parts for row in part.to_pylist()] == whole.to_table().to_pylist())
        images = {row["image"].data for row in whole}
        self.assertEqual(len(images), 16, "the noise of each row is its own")

    def test_rows_without_keys_are_refused(self) -> None:
        with self.assertRaises(anyflow.FilesError) as caught:
            anyflow.ray.Anyflow(PIPELINE)(pa.table({"value": [1.0]}))
        self.assertEqual(caught.exception.code, "key")

    def test_failed_rows_are_counted(self) -> None:
        mapped = anyflow.ray.Anyflow(PIPELINE, **OPTIONS)
        with self.assertWarnsRegex(UserWarning, "1 of 2 rows failed"):
            made = mapped(pa.table({"id": [0, 1], "label": [7, 10]}))
        self.assertEqual(made["id"].to_pylist(), [0])

    def test_batches_without_a_good_row_are_tables_without_rows(self) -> None:
        mapped = anyflow.ray.Anyflow(PIPELINE, max_failures=9, **OPTIONS)
        good = mapped(rows(1))
        with self.assertWarnsRegex(UserWarning, "2 of 2 rows failed"):
            bad = mapped(pa.table({"id": [0, 1], "label": [10, 11]}))
        for made in (bad, mapped(rows(1).slice(1)), anyflow.ray.Anyflow(PIPELINE, where="label = 7", **OPTIONS)(rows(2))):
            self.assertEqual(made.num_rows, 0)
            self.assertTrue(made.schema.equals(good.schema, check_metadata=True))

    def test_too_many_failures_are_an_error(self) -> None:
        with self.assertRaises(anyflow.RunError):
            anyflow.ray.Anyflow(PIPELINE, max_failures=0, **OPTIONS)(pa.table({"id": [0, 1], "label": [7, 10]}))


@contextlib.contextmanager
def cluster() -> Generator[None, None, None]:
    """A local cluster with two workers, which find the package and the programs as this process does."""
    import ray

    # A busy machine starves workers, which otherwise run at a low priority.
    os.environ.setdefault("RAY_worker_niceness", "0")
    named = ("ANYFLOW_", "AWS_", "PYTHONPATH", "LIBTORCH", "OMP_", "MKL_")
    variables = {name: value for name, value in os.environ.items() if name.startswith(named)}
    ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": variables})
    try:
        yield
    finally:
        ray.shutdown()


@needs("ray")
class Cluster(unittest.TestCase):
    def test_actors_make_the_rows_of_the_command_line(self) -> None:
        import ray.data

        with cluster():
            # A block for each batch, so that both workers have work.
            blocks = ray.data.from_arrow([rows(32).slice(at, 8) for at in range(0, 32, 8)])
            mapped = blocks.map_batches(
                anyflow.ray.Anyflow,
                fn_constructor_args=[str(PIPELINE)],
                fn_constructor_kwargs=OPTIONS,
                batch_format="pyarrow",
                batch_size=8,
                concurrency=2,
            )
            made = pa.concat_tables(mapped.iter_batches(batch_size=None, batch_format="pyarrow")).sort_by("id")
            # A bad row, in a batch of its own, does not end the dataset.
            bad = pa.table({"id": [0, 1, 2], "label": [1, 10, 1]})
            alone = anyflow.ray.Anyflow(PIPELINE, **OPTIONS)
            survived = ray.data.from_arrow(bad).map_batches(alone, batch_format="pyarrow", batch_size=1).take_all()
        self.assertEqual(sorted(row["id"] for row in survived), [0, 2])
        whole = anyflow.run(PIPELINE, rows(32), shard_rows=8, **OPTIONS).to_table()
        self.assertEqual(made.schema.names, whole.schema.names)
        self.assertTrue(made.equals(whole), "byte for byte")


@needs("ray")
class Jobs(unittest.TestCase):
    """Jobs on a cluster whose workers are killed. `ANYFLOW_KILLS` is their number."""

    KILLS = int(os.environ.get("ANYFLOW_KILLS", "3"))

    def test_killed_workers_lose_no_row_and_repeat_none(self) -> None:
        with TemporaryDirectory() as folder, cluster():
            data, out, whole = Path(folder) / "rows.parquet", Path(folder) / "out", Path(folder) / "whole"
            pq.write_table(rows(64 * self.KILLS), data)
            killer = Killer(self.KILLS, out)
            options: dict[str, Any] = {"shard_rows": 8, **OPTIONS}
            made = anyflow.ray.run_job(PIPELINE, data, out, parts=self.KILLS + 3, retries=-1, **options)
            spared = killer.end()
            expected = anyflow.run(PIPELINE, data, whole, **options)
            print(f"{self.KILLS - spared} workers killed, {len(made)} rows", file=sys.stderr)
            self.assertEqual(spared, 0, "the job ends before all workers are killed")
            self.assertEqual(made.to_table()["id"].to_pylist(), list(range(64 * self.KILLS)))
            self.assertEqual(made.failures.num_rows, 0)
            ours, theirs = ([Path(file).read_bytes() for file in output.files] for output in (made, expected))
            self.assertTrue(ours == theirs, "the files of both are the same, byte for byte")
            again = anyflow.ray.run_job(PIPELINE, data, out, parts=self.KILLS + 3, **options)
            self.assertEqual(len(again), len(made))

    def test_mistakes_are_told(self) -> None:
        with TemporaryDirectory() as folder, cluster(), self.assertRaises(anyflow.FilesError) as caught:
            anyflow.ray.run_job(PIPELINE, Path(folder) / "absent.parquet", Path(folder) / "out", parts=2)
        self.assertIn("absent.parquet", str(caught.exception))

    def test_a_worker_that_dies_without_a_retry_is_an_error_of_the_run(self) -> None:
        with TemporaryDirectory() as folder, cluster():
            data, out = Path(folder) / "rows.parquet", Path(folder) / "out"
            pq.write_table(rows(64), data)
            killer = Killer(2, out)
            with self.assertRaises(anyflow.RunError) as caught:
                anyflow.ray.run_job(PIPELINE, data, out, parts=2, retries=0, shard_rows=4, **OPTIONS)
            killer.end()
            self.assertEqual(caught.exception.code, "ray")
            self.assertIn("the same call goes on", str(caught.exception))
            self.assertEqual(len(anyflow.ray.run_job(PIPELINE, data, out, parts=2, shard_rows=4, **OPTIONS)), 64)


@needs("ray")
@needs("moto")
class Stores(unittest.TestCase):
    def test_a_job_in_a_store(self) -> None:
        with store() as bucket, cluster():
            put(rows(16), f"{bucket}/rows/a.parquet")
            options: dict[str, Any] = {"shard_rows": 4, **OPTIONS}
            for _ in range(2):
                made = anyflow.ray.run_job(PIPELINE, f"{bucket}/rows", f"{bucket}/out", parts=2, **options)
                self.assertEqual(made.address, f"{bucket}/out")
                self.assertEqual(made.to_table()["id"].to_pylist(), list(range(16)))


class Killer:
    """Kills workers while they run a task: one up to two seconds after its program began, the next one after a commit."""

    def __init__(self, kills: int, output: Path) -> None:
        self._left = kills
        self._output = output
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def end(self) -> int:
        """Ends, and returns how many workers were to be killed and are not."""
        self._is_over.set()
        self._thread.join()
        return self._left

    def _work(self) -> None:
        deaths: dict[int, tuple[float, int]] = {}
        while self._left and not self._is_over.wait(0.02):
            commits = len(list(self._output.glob("parts/*/commits/*")))
            # Ray names a worker after its task; the program that it starts shows that the task has begun.
            busy = [worker for worker, _ in processes_with("ray::anyflow") if children_of(worker)]
            for worker in busy:
                time_of_death, known = deaths.setdefault(worker, (time.monotonic() + random.uniform(0, 2), commits))
                has_come = commits > known if self._left % 2 else time.monotonic() > time_of_death
                if self._left and has_come:
                    del deaths[worker]
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker, signal.SIGKILL)
                        self._left -= 1


if __name__ == "__main__":
    unittest.main()
