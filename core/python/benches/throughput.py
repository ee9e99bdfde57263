"""Rows of small vectors through `Engine.run`, beside the command line on the same Parquet file.

    ANYFLOW_PROGRAM=target/debug/anyflow PYTHONPATH=core/python python core/python/benches/throughput.py --rows 100000

Both sides use the same number of threads and rows per network call. Each figure is the median of the repetitions, which
alternate. The command writes Parquet; the engine's rows are tables in memory, written as well for a figure of its own.
"""

import argparse
import contextlib
import json
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyflow
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MODEL = """anyflow: 1
name: vectors
checkpoint: weights/model.safetensors
streams: {label: {codec: {use: label/one-hot, classes: 10}, latent: [10]}}
denoisers: {only: {over: [label], network: {kind: residual-mlp, width: 32, blocks: 2}, predict: x0}}
"""
TRAINING = """anyflow: 1
name: vectors
model: model.yaml
sources: {rows: rows.parquet}
data: {all: {columns: {label: rows.label}}}
stages:
  - {name: statistics, objective: {kind: statistics}, data: all}
  - {name: diffusion, train: only, objective: {kind: denoise}, data: all, steps: 100, batch: 8}
"""
PIPELINE = """anyflow: 1
name: vectors
model: model.yaml
inputs: {digit: {modality: label, column: label}}
nodes:
  meant: {encode: label/one-hot, from: digit}
  joint: {diffuse: [label], sampler: {kind: ddim, steps: 2}, seed: 7}
outputs: {meant: meant, sampled: joint.label}
"""
#: Of the vectors that pass.
WIDTH = 16


def make(folder: Path, rows: int) -> Path:
    """A project with its rows: labels, and vectors that pass."""
    for name, text in [("model.yaml", MODEL), ("train.yaml", TRAINING), ("pipeline.yaml", PIPELINE)]:
        (folder / name).write_text(text)
    values = pc.random(rows * WIDTH, initializer=1).cast(pa.float32())
    vectors = pa.FixedSizeListArray.from_arrays(values, WIDTH).cast(pa.list_(pa.float32()))
    table = pa.table({"label": [row % 10 for row in range(rows)], "vector": vectors})
    pq.write_table(table.slice(0, 100), folder / "rows.parquet")
    anyflow.train(folder / "train.yaml", folder / "weights", threads=1)
    pq.write_table(table, folder / "rows.parquet", row_group_size=8192)
    return folder / "rows.parquet"


def memory_mb(measure: str, process: str = "self") -> float:
    """The memory of a process, in MB: ``VmRSS`` now, ``VmHWM`` at its peak."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split(f"{measure}:")[1].split()[0]) / 1024


def engines() -> list[str]:
    """The engines that programs of this process have started."""
    children = Path("/proc/self/task").glob("*/children")
    fronts = [front for file in children for front in file.read_text().split()]
    found = [file.read_text().split() for front in fronts for file in Path(f"/proc/{front}/task").glob("*/children")]
    return [engine for some in found for engine in some]


def peak_of_command(run: Callable[[], object]) -> float:
    """The peak memory of the engine of a command, in MB, from samples."""
    peaks = [0.0]
    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        with contextlib.suppress(OSError, IndexError):
            peaks.extend([memory_mb("VmHWM", engine) for engine in engines()])
        time.sleep(0.02)
    return max(peaks)


def main() -> None:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-rows", type=int, default=256)
    given = parser.parse_args()
    same: dict[str, Any] = {"threads": given.threads, "batch_rows": given.batch_rows}
    command: list[float] = []
    inner: list[float] = []
    engine_seconds: list[float] = []
    table: pa.Table | None = None
    written: list[float] = []
    grown: list[float] = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        data = make(folder, given.rows)
        peak = peak_of_command(lambda: anyflow.run(folder / "pipeline.yaml", data, **same))
        with anyflow.Engine(**same) as engine:
            loaded = engine.load(folder / "pipeline.yaml")
            for turn in range(given.repeat):
                started = time.perf_counter()
                made = anyflow.run(folder / "pipeline.yaml", data, folder / f"out-{turn}", **same)
                command.append(time.perf_counter() - started)
                inner.append(given.rows / made.result["rows_per_second"])
                table = None
                before, held_before = memory_mb("VmRSS"), pa.total_allocated_bytes()
                # The peak begins anew.
                Path("/proc/self/clear_refs").write_text("5")
                started = time.perf_counter()
                table = engine.run(loaded, data).to_table()
                engine_seconds.append(time.perf_counter() - started)
                held = pa.total_allocated_bytes() - held_before
                grown.append(memory_mb("VmHWM") - before)
                pq.write_table(table, folder / "written.parquet", compression="zstd")
                written.append(time.perf_counter() - started)
                compare(made.to_table(), table)
            figures = {
                "rows": given.rows,
                **same,
                "command_seconds": statistics.median(command),
                "command_without_start_seconds": statistics.median(inner),
                "engine_seconds": statistics.median(engine_seconds),
                "engine_and_parquet_seconds": statistics.median(written),
                "result_mb": table.nbytes / 2**20,
                "held_mb": held / 2**20,
                "peak_python_growth_mb": grown[0],
                "peak_engine_mb": memory_mb("VmHWM", engines()[0]),
                "peak_command_mb": peak,
            }
    figures["ratio"] = figures["command_seconds"] / figures["engine_seconds"]
    figures["ratio_without_start"] = figures["command_without_start_seconds"] / figures["engine_seconds"]
    print(json.dumps(figures, indent=2))


def compare(expected: pa.Table, found: pa.Table) -> None:
    """Both sides must have computed the same."""
    assert expected.column_names == found.column_names, (expected.column_names, found.column_names)
    assert expected["label"].to_pylist() == found["label"].to_pylist()
    for name in ("vector", "meant", "sampled"):
        ours, theirs = (pc.list_flatten(table[name].combine_chunks()) for table in (found, expected))
        off = pc.max(pc.abs(pc.subtract(ours, theirs))).as_py()
        assert off < 1e-4, f"{name} differs by {off}"


if __name__ == "__main__":
    main()
