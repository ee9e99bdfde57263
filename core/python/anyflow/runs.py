"""Runs a pipeline over rows."""

import inspect
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anyflow import program
from anyflow.arguments import StrPath, options, settings
from anyflow.inputs import Data, as_files
from anyflow.output import Output


def run(
    pipeline: StrPath,
    data: Data | None = None,
    output: StrPath | None = None,
    *,
    rows: int | None = None,
    where: str | None = None,
    skip: int | None = None,
    draws: int | None = None,
    seed: int | None = None,
    key: str | None = None,
    keep: Sequence[str] | None = None,
    shard_rows: int | None = None,
    file_size: str | None = None,
    batch_rows: int | None = None,
    max_failures: int | None = None,
    device: str = "cpu",
    threads: int | None = None,
    memory: str | None = None,
    timeout: float | None = None,
    **overrides: object,
) -> Output:
    """Runs a pipeline over rows; the same call resumes a run that was interrupted, if it has an ``output``.

    A row that cannot be read or that fails in a node is a row of ``failures`` and costs nothing else.

    Args:
        pipeline: The YAML file; `PIPELINES` is the folder of the shipped ones.
        data: The rows: paths of Parquet files, anything with Arrow data (a table, a pandas or polars frame), a
            ``datasets.Dataset``, or record batches one after another. Rows in memory are written to a temporary file.
            ``None`` for pipelines without inputs.
        output: Folder for the rows. By default a temporary one, which is removed with the returned object.
        rows: Number of rows to generate; with ``data``, the maximum number of rows to read.
        where: Condition on columns, such as ``"label = 3 and not (score is null)"``.
        skip: Number of rows to pass over first.
        draws: Number of times that each row runs, each with other noise.
        seed: Seed of the noise, in place of the file's seeds.
        key: Column of row keys, which determine the noise. By default ``id`` if there is one, else the row number.
        keep: Columns of the input to copy to the output. By default all but large files that the pipeline reads.
        shard_rows: Rows per file of the output, 1024 by default.
        file_size: Size of such a file in place of that, such as ``256M``.
        batch_rows: Maximum rows per network call. By default measured.
        max_failures: Stop after this many failed rows.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: By default all cores.
        memory: Limit such as ``4G``. By default a quarter of the machine's.
        timeout: Seconds that a call into a plugin may take. By default any.
        overrides: Values in place of the file's: ``joint__sampler__steps=4`` replaces ``joint.sampler.steps``. Names that
            Python does not allow are given as ``**{"my-node.seed": 7}``.

    Raises:
        FilesError: Files or arguments are wrong; ``problems`` has file and line of each mistake.
        PluginError: A plugin is wrong or crashed.
        RunError: The run failed for another reason.
    """
    given: dict[str, object] = {
        "rows": rows,
        "where": where,
        "skip": skip,
        "draws": draws,
        "seed": seed,
        "key": key,
        "keep": None if keep is None else list(keep),
        "shard_rows": shard_rows,
        "file_size": file_size,
        "batch_rows": batch_rows,
        "max_failures": max_failures,
        "device": device,
        "threads": threads,
        "memory": memory,
        "timeout": timeout,
    }
    place = Path(tempfile.mkdtemp(prefix="anyflow-") if output is None else output)
    try:
        with as_files(data) as files:
            result = _call(pipeline, files, place, {**given, **overrides})
    except BaseException:
        if output is None:
            shutil.rmtree(place, ignore_errors=True)
        raise
    return Output(place, result=result, is_temporary=output is None)


def run_share(
    pipeline: StrPath, files: Sequence[str], output: StrPath, share: str, **options: object
) -> Mapping[str, Any]:
    """Does one share of the shards of a job, into a part of the output folder. `finish` makes one output of all parts.

    Args:
        pipeline: The YAML file.
        files: Paths of Parquet files.
        output: The output folder of the job.
        share: ``"I/N"``: the I-th of N shares.
        options: Those of `run`, of which ``batch_rows`` is needed.

    Raises:
        AnyflowError: As `run`.
    """
    return _call(pipeline, files, output, {"shards": share, **options})


def finish(output: StrPath) -> Output:
    """Makes one output of the parts of a job, which `anyflow.ray.run_job` or ``anyflow run --shards I/N`` wrote.

    Raises:
        FilesError: Parts are missing, or are of different jobs.
    """
    return Output(output, result=program.call(["finish", os.fspath(output)]))


def _call(pipeline: StrPath, files: Sequence[str], output: StrPath, given: Mapping[str, object]) -> Mapping[str, Any]:
    """Runs the command; what is no option of `run` is an override."""
    known = {"shards", *inspect.signature(run).parameters}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if name in known}
    overrides = {name: value for name, value in given.items() if name not in known}
    inputs = [f"--input={file}" for file in files]
    command = ["run", os.fspath(pipeline), *inputs, f"--output={os.fspath(output)}"]
    return program.call([*command, *options(chosen), *settings(overrides)])
