"""Anyflow beside plain Ray Data: one job and the same kills. Rows lost, rows doubled, rows done again, seconds.

    LIBTORCH=.libtorch PYTHONPATH=core/python VENV/bin/python core/python/benches/beside_ray.py --programs target/debug

VENV has ray and pyarrow; `cc` is there, and `cargo xtask test --cluster` has made all programs. A row is a key and a
number. Its work is a sleep, then its key goes to a log: a C plugin does so for Anyflow, a class for Ray. Both sides have two workers
of one thread and the same batches. Each victim dies by SIGKILL: a worker every few seconds from the first row on, the driver when
half of the rows are in the log. After the death of a driver the same command runs again. Clusters start before the clock does, and
nothing dies that the script did not start.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[3]
MODEL = """anyflow: 1
name: numbers
checkpoint: weights/model.safetensors
streams:
  numbers: {codec: scaled/number, module: scaled/copy, latent: [1]}
denoisers:
  only: {over: [numbers], network: {kind: residual-mlp, width: 8, blocks: 1}, predict: x0}
"""
TRAIN = """anyflow: 1
name: numbers
model: model.yaml
sources: {rows: few.parquet}
data: {all: {columns: {numbers: rows.value}}}
stages:
  - {name: statistics, objective: {kind: statistics}, data: all}
"""
PIPELINE = """anyflow: 1
name: numbers
model: model.yaml
inputs: {seen: {modality: number, column: value}}
nodes:
  within: {encode: scaled/copy, from: seen}
  back: {decode: scaled/copy, from: within}
outputs: {value: back}
"""
#: A line of the log, and its length.
LINE, LENGTH = "%09.0f\n", 10
#: Included before the source of the plugin, which calls `worked` for a batch.
WORKED = """#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "anyflow.h"
static unsigned worked(const AnyflowCellView *cells, size_t rows) {
    const char *path = getenv("WORKED");
    int log = path == NULL ? -1 : open(path, O_WRONLY | O_APPEND | O_CREAT, 0644);
    for (size_t row = 0; row < rows; row++) {
        usleep(SLEEP_US);
        if (log >= 0) dprintf(log, "%09.0f\\n", cells[row].real);
    }
    if (log >= 0) close(log);
    return 0;
}
#undef _DEFAULT_SOURCE
"""
#: Jobs of plain Ray Data: options of `map_batches`, options of `write_parquet`, and whether rows that are written have checkpoints.
PLAIN: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "Ray Data": ({}, {}, False),
    "Ray Data, max_restarts=0": ({"max_restarts": 0}, {}, False),
    "Ray Data, mode=overwrite": ({}, {"mode": "overwrite"}, False),
    "Ray Data, checkpoints": ({}, {}, True),
}
OURS, OURS_ON_RAY = "anyflow run --on ballista", "anyflow.ray.run_job"
#: Which jobs run for each victim.
TRIALS = {
    "nobody": ["Ray Data", "Ray Data, checkpoints", OURS_ON_RAY, OURS],
    "worker": ["Ray Data, max_restarts=0", "Ray Data", "Ray Data, checkpoints", OURS_ON_RAY, OURS],
    "driver": ["Ray Data", "Ray Data, mode=overwrite", "Ray Data, checkpoints", OURS_ON_RAY, OURS],
    "executor": [OURS],
}


class Work:
    """The work of Ray Data."""

    def __init__(self, microseconds: int) -> None:
        self.seconds = microseconds / 1e6
        self.log = os.open(os.environ["WORKED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        for value in batch["value"]:
            time.sleep(self.seconds)
            os.write(self.log, (LINE % value).encode())
        return batch


def head(folder: str) -> None:
    """A cluster of Ray, until the standard input ends."""
    import ray

    # Two for the actors, two for the tasks that list, read and write. With two in all, the job waits forever; with actors of
    # half a core, nothing is written before the last batch.
    ray.init(num_cpus=4, include_dashboard=False, _temp_dir=folder)
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
    ray.shutdown()


def job(name: str, address: str, given: argparse.Namespace) -> None:
    """A job on a cluster of Ray, as its user writes it."""
    import ray
    import ray.data

    ray.init(address=address, log_to_driver=False)
    if name == OURS_ON_RAY:
        import anyflow.ray

        options: dict[str, Any] = {"batch_rows": given.batch, "shard_rows": given.batch, "threads": 1, "retries": -1}
        # Two of the four cores each: two tasks at once.
        anyflow.ray.run_job("pipeline.yaml", "rows", "out", parts=given.parts, num_cpus=2, **options)
        return
    mapping, writing, has_checkpoints = PLAIN[name]
    if has_checkpoints:
        from ray.data.checkpoint import CheckpointConfig

        config = CheckpointConfig(id_column="id", checkpoint_path=str(Path("kept").resolve()))
        ray.data.DataContext.get_current().checkpoint_config = config
    rows = ray.data.read_parquet(str(Path("rows").resolve()))
    # Small files are one block otherwise: one worker has all the work, and loses it all.
    rows = rows.repartition(target_num_rows_per_block=given.batch)
    options = {"batch_size": given.batch, "concurrency": 2, **given.map, **mapping}
    rows.map_batches(Work, fn_constructor_args=[given.sleep_us], **options).write_parquet(str(Path("out").resolve()), **writing)


def below(process: int) -> list[int]:
    """The processes that a process started, and all that those started."""
    children: list[int] = []
    with contextlib.suppress(OSError):
        tasks = Path(f"/proc/{process}/task").iterdir()
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return [found for child in children for found in (child, *below(child))]


def command_line(process: int) -> str:
    """Empty if the process is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text()
    return ""


class Trial:
    """A job and its cluster, in a folder of its own."""

    def __init__(self, name: str, folder: Path, given: argparse.Namespace) -> None:
        self.name, self.folder, self.given, self.log = name, folder, given, folder / "worked"
        self.cluster: list[subprocess.Popen[str]] = []
        anyflow, self.cluster_program = (str(given.programs / program) for program in ("anyflow", "anyflow-cluster"))
        named = {"WORKED": str(self.log), "ANYFLOW_PLUGINS": str(folder / "plugins"), "ANYFLOW_PROGRAM": anyflow}
        # Workers of Ray have a low priority otherwise, and jobs do not find the token of their cluster.
        options = {"RAY_worker_niceness": "0", "RAY_AUTH_MODE": "token"}
        self.variables = {**os.environ, **named, **options, "OMP_NUM_THREADS": "1"}
        if name == OURS:
            self.address = self.starts([self.cluster_program, "scheduler", "--port", "0"]).split()[-1]
            self.executor(0)
            self.executor(1)
            files = ["run", "pipeline.yaml", "--input", "rows", "--output", "out", "--on", f"ballista={self.address}"]
            rows = ["--shard-rows", str(given.batch), "--batch-rows", str(given.batch)]
            self.command = [anyflow, *files, *rows, "--threads", "1"]
        else:
            address = self.starts([sys.executable, __file__, "--head", str(folder / "ray")])
            self.command = [sys.executable, __file__, "--job", name, address, json.dumps(vars(given), default=str)]

    def starts(self, command: list[str]) -> str:
        """Starts a process of the cluster, and returns the line that says that it is ready."""
        log = (self.folder / "cluster").open("a")
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, cwd=self.folder, env=self.variables, text=True, stdin=pipe, stdout=pipe, stderr=log
        )
        self.cluster.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip()

    def executor(self, number: int) -> None:
        """Starts an executor."""
        self.starts([self.cluster_program, "executor", "--scheduler", self.address, "--name", f"e{number}"])

    def strike(self, who: str, chance: random.Random) -> bool:
        """Kills one at random. Returns false if none is there."""
        if who == "executor":
            number = chance.randrange(2)
            self.cluster[1 + number].kill()
            self.cluster[1 + number].wait()
            self.executor(number)
            self.cluster[1 + number] = self.cluster.pop()
            return True
        # Ray names its workers after what they do.
        text = {OURS: "anyflow-engine", OURS_ON_RAY: "ray::anyflow"}.get(self.name, "MapBatches(Work)")
        processes = [process for part in self.cluster for process in below(part.pid) if text in command_line(process)]
        # A worker of Ray runs the program for a share that it works at.
        victims = sorted(process for process in processes if self.name != OURS_ON_RAY or below(process))
        if victims:
            os.kill(chance.choice(victims), signal.SIGKILL)
        return bool(victims)

    def run(self, who: str) -> dict[str, Any]:
        """Runs the job, and returns its figures."""
        chance, log, begin = random.Random(1), (self.folder / "log").open("w"), time.monotonic()
        first = due = 0.0
        kills, most = 0, 0 if who == "nobody" else 1 if who == "driver" else int(self.given.kills)
        start = lambda: subprocess.Popen(self.command, cwd=self.folder, env=self.variables, stdout=log, stderr=log)  # noqa: E731
        running = start()
        while running.poll() is None:
            time.sleep(0.02)
            now, done = time.monotonic(), self.log.stat().st_size // LENGTH if self.log.exists() else 0
            if done and not first:
                first, due = now, now + self.given.every
            if now - begin > self.given.patience:
                running.kill()
            elif kills < most and who == "driver" and 2 * done >= self.given.rows:
                running.kill()
                running.wait()
                kills, running = 1, start()
            elif kills < most and who != "driver" and first and now > due and self.strike(who, chance):
                kills, due = kills + 1, due + self.given.every
        seconds = time.monotonic() - begin
        rows: list[dict[str, Any]] = []
        broken = 0
        for file in self.folder.glob("out/data/*.parquet" if self.name in (OURS, OURS_ON_RAY) else "out/*.parquet"):
            try:
                rows += pq.ParquetFile(file).read(["id", "value"]).to_pylist()
            except pa.ArrowInvalid:
                broken += 1
        assert all(row["id"] == row["value"] for row in rows), "a number is wrong"
        keys, calls = Counter(row["id"] for row in rows), Counter(self.log.read_text().split() if first else [])
        return {
            "job": self.name,
            "killed": who,
            "kills": kills,
            "exit code": running.returncode,
            "broken files": broken,
            "rows lost": self.given.rows - len(keys),
            "rows doubled": keys.total() - len(keys),
            "rows done again": calls.total() - len(calls),
            "first row after s": round(first - begin, 1) if first else "never",
            "seconds": round(seconds, 1),
        }

    def end(self) -> None:
        """Ends the cluster."""
        for process in self.cluster:
            if self.name == OURS:
                process.kill()
            process.communicate()


def project(base: Path, given: argparse.Namespace) -> None:
    """Makes the job: rows in 20 files, the plugin, a model and a pipeline."""
    for name, text in {"model.yaml": MODEL, "train.yaml": TRAIN, "pipeline.yaml": PIPELINE, "worked.h": WORKED}.items():
        (base / name).write_text(text)
    (base / "plugins").mkdir()
    (base / "rows").mkdir()
    table = pa.table({"id": range(given.rows), "value": [float(row) for row in range(given.rows)]})
    pq.write_table(table.slice(0, 8), base / "few.parquet")
    for part in range(20):
        pq.write_table(table.slice(part * given.rows // 20, given.rows // 20), base / f"rows/{part:02}.parquet")
    macros = ["-DPAUSE_US=worked(cells, rows)", f"-DSLEEP_US={given.sleep_us}", "-include", "worked.h"]
    sources = ["-I", str(ROOT / "core/abi/include"), str(ROOT / "tests/native/scaled.c")]
    library = ["-shared", "-fPIC", "-o", "plugins/libanyflow_scaled.so"]
    subprocess.run(["cc", "-std=gnu11", "-O1", *macros, *sources, *library], cwd=base, check=True)
    train = [str(given.programs / "anyflow"), "train", "train.yaml", "--output", "weights", "--threads", "1"]
    variables = {**os.environ, "ANYFLOW_PLUGINS": str(base / "plugins")}
    subprocess.run(train, cwd=base, env=variables, check=True, capture_output=True)


def main() -> None:
    """Prints the figures as a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", type=lambda text: Path(text).resolve(), default=ROOT / "target/debug")
    parser.add_argument("--folder", help="for temporary files, with a short path: Ray makes sockets in it")
    parser.add_argument("--rows", type=int, default=10_000, help="a multiple of 20")
    parser.add_argument("--batch", type=int, default=50, help="rows of a batch and of a shard")
    parser.add_argument("--sleep-us", type=int, default=5_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two kills")
    parser.add_argument("--parts", type=int, default=12, help="tasks of run_job")
    parser.add_argument("--patience", type=float, default=300.0, help="seconds after which a job counts as stuck")
    parser.add_argument("--map", type=json.loads, default={}, help="JSON: more options of map_batches")
    parser.add_argument("--only", default="", help="text in the names of job and victim")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    results: list[dict[str, Any]] = []
    with TemporaryDirectory(dir=given.folder, prefix="b") as name:
        base = Path(name).resolve()
        (base / "0").mkdir()
        project(base / "0", given)
        for job_name, who in [(job_name, who) for who, jobs in TRIALS.items() for job_name in jobs]:
            if given.only not in f"{job_name}: {who}":
                continue
            shutil.copytree(base / "0", base / "1")
            trial = Trial(job_name, base / "1", given)
            try:
                results.append(trial.run(who))
            finally:
                trial.end()
            shutil.rmtree(base / "1", ignore_errors=True)
            print(results[-1], file=sys.stderr, flush=True)
    if given.json:
        print(json.dumps(results, indent=2))
    elif results:
        lines = [list(results[0]), ["---"] * len(results[0]), *(result.values() for result in results)]
        print("\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--head"]:
        head(sys.argv[2])
    elif sys.argv[1:2] == ["--job"]:
        job(sys.argv[2], sys.argv[3], argparse.Namespace(**json.loads(sys.argv[4])))
    else:
        main()
