"""Anyflow on Ray: ``dataset.map_batches(anyflow.ray.Anyflow, ...)`` and ``anyflow.ray.run_job(...)``."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from anyflow.arguments import StrPath
from anyflow.errors import FilesError, RunError
from anyflow.output import Output
from anyflow.runs import finish, run, run_share


class Anyflow:
    """A pipeline as the class of an actor pool::

        dataset.map_batches(
            anyflow.ray.Anyflow,
            fn_constructor_args=["pipeline.yaml"],
            fn_constructor_kwargs={"device": "cuda"},
            batch_format="pyarrow",
            num_gpus=1,
            concurrency=4,
        )

    An instance, ``Anyflow("pipeline.yaml")``, is a function for ``map_batches`` without actors.

    The noise of a row belongs to its key, so batches and workers do not change it; a batch without a column of keys is
    refused. Failed rows are missing in the result, and a warning counts them.

    Args:
        pipeline: The YAML file, on every worker.
        key: Column of row keys.
        options: As for `anyflow.run`.
    """

    def __init__(self, pipeline: StrPath, *, key: str = "id", **options: Any) -> None:
        self.pipeline = os.fspath(pipeline)
        self.key = key
        self.options = options

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Runs the rows of a batch.

        Raises:
            AnyflowError: As `anyflow.run`; the batch has no column of keys.
        """
        if self.key not in batch.column_names:
            text = f"the rows have no column {self.key!r}, and their numbers depend on the batch; name the column of keys"
            raise FilesError({"code": "key", "message": text, "exit_code": 2})
        output = run(self.pipeline, batch, key=self.key, **self.options)
        failed = output.failures.num_rows
        if failed:
            warnings.warn(f"{failed} of {batch.num_rows} rows failed: {output.failures.to_pylist()[0]}", stacklevel=2)
        return output.to_table()


def run_job(
    pipeline: StrPath,
    data: StrPath | Sequence[StrPath] | None,
    output: StrPath,
    *,
    parts: int,
    batch_rows: int = 64,
    retries: int = 3,
    num_cpus: float = 1,
    num_gpus: float = 0,
    **options: Any,
) -> Output:
    """Runs a job on the cluster: each task of Ray does a share of its shards, and its output is that of one machine.

    A task whose worker or node dies, or whose run fails, is tried again, on any worker. It finds the shards that are
    committed and does the others, so each row is in the output exactly once. The same call resumes a job that failed.

    Args:
        pipeline: The YAML file, on a file system that all workers share.
        data: Paths of Parquet files there; ``None`` for pipelines without inputs.
        output: Folder there.
        parts: Number of tasks. A part has its own start of an engine, and a worker that dies delays one part.
        batch_rows: Maximum rows per network call: it belongs to the job, whose bits would follow the machine otherwise.
        retries: How often each task is tried again; -1 for any number.
        num_cpus: Cores of a task.
        num_gpus: GPUs of a task; name ``device="cuda"`` as well.
        options: The other options of `anyflow.run`, and overrides.

    Raises:
        FilesError: Files or arguments are wrong, or the output is that of another job.
        PluginError: A plugin is wrong or crashed.
        RunError: A task failed after all retries.
    """
    import ray

    named = [data] if isinstance(data, str | os.PathLike) else list(data or [])
    files = [_absolute(file) for file in named]
    place = Path(output).absolute()
    options = {"batch_rows": batch_rows, **options}
    if (place / "manifest.json").is_file():
        # Compares the job and finds it complete.
        return run(_absolute(pipeline), files or None, place, **options)
    # Files and plugins that are wrong stay wrong.
    settings = {"num_cpus": num_cpus, "num_gpus": num_gpus, "max_retries": retries, "retry_exceptions": [RunError]}
    task = ray.remote(run_share).options(name="anyflow", **settings)
    shares = [f"{index}/{parts}" for index in range(1, parts + 1)]
    tasks = [task.remote(_absolute(pipeline), files, str(place), share, **options) for share in shares]
    try:
        ray.get(tasks)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    finally:
        for one in tasks:
            ray.cancel(one)
    return finish(place)


def _absolute(path: StrPath) -> str:
    """The same file in every working directory."""
    text = os.fspath(path)
    return text if "://" in text else os.path.abspath(text)
