"""Anyflow on Ray: ``dataset.map_batches(anyflow.ray.Anyflow, ...)`` and ``anyflow.ray.run_job(...)``."""

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from anyflow.errors import FilesError, RunError, wrong
from anyflow.folders import TemporaryFolder
from anyflow.optional import package
from anyflow.output import Output, is_finished
from anyflow.places import StrPath, absolute, place_of
from anyflow.runs import finish, run, run_share

#: Part of the message that no row of a batch fits ``where``.
_NOTHING_SELECTED = "has no rows that"
#: Options that choose among rows, or count them.
_CHOOSING = ("where", "skip", "rows", "draws", "max_failures")


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
    refused. Failed rows are missing in the result, and a warning counts them. A batch without rows, or of which every row
    fails, gives a table without rows.

    Args:
        pipeline: The YAML file, on every worker.
        key: Column of row keys.
        options: As for `anyflow.run`.
    """

    def __init__(self, pipeline: StrPath, *, key: str = "id", **options: Any) -> None:
        self.pipeline = place_of(pipeline)
        self.key = key
        self.options = options

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Runs the rows of a batch.

        Raises:
            AnyflowError: As `anyflow.run`, unless every row failed; the batch has no column of keys.
        """
        if self.key not in batch.column_names:
            text = f"the rows have no column {self.key!r}, and their numbers depend on the batch; name the column of keys"
            raise wrong("key", text)
        if batch.num_rows == 0:
            return self._empty(batch.schema)
        try:
            output = self._run(batch, self.options)
        except FilesError as error:
            if _NOTHING_SELECTED not in error.message:
                raise
            return self._empty(batch.schema)
        failed = output.failures.num_rows
        if failed:
            first = output.failures.slice(0, 1).to_pylist()[0]
            warnings.warn(f"{failed} of {batch.num_rows} rows failed: {first}", stacklevel=2)
        return output.to_table()

    def _run(self, batch: pa.Table, options: Mapping[str, Any]) -> Output:
        """Runs the rows; an output without rows is one, too."""
        folder = TemporaryFolder()
        place = str(folder.path / "out")
        try:
            run(self.pipeline, batch, place, key=self.key, **options)
        except RunError:
            if not is_finished(place):
                raise
        return Output(place, folder=folder)

    def _empty(self, schema: pa.Schema) -> pa.Table:
        """The columns of the result, which are the same for every row: the program refuses a job without rows."""
        options = {name: value for name, value in self.options.items() if name not in _CHOOSING}
        return self._run(_row_of_nulls(schema), options).to_table().slice(0, 0)


def _row_of_nulls(schema: pa.Schema) -> pa.Table:
    fields = [field.with_nullable(True) for field in schema]
    nullable = pa.schema(fields, metadata=schema.metadata)
    return pa.Table.from_pylist([dict.fromkeys(schema.names)], schema=nullable)


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
        data: Paths of Parquet files there, or addresses in a store; ``None`` for pipelines without inputs.
        output: Folder there, or an address in a store.
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
    ray = package("ray", "run_job()", "'anyflow[ray]'")
    named = [data] if isinstance(data, str | os.PathLike) else list(data or [])
    files = [absolute(file) for file in named]
    place = absolute(output)
    options = {"batch_rows": batch_rows, **options}
    if is_finished(place):
        # Compares the job and finds it complete.
        return run(absolute(pipeline), files or None, place, **options)
    # Files and plugins that are wrong stay wrong.
    settings = {"num_cpus": num_cpus, "num_gpus": num_gpus, "max_retries": retries, "retry_exceptions": [RunError]}
    task = ray.remote(run_share).options(name="anyflow", **settings)
    shares = [f"{index}/{parts}" for index in range(1, parts + 1)]
    tasks = [task.remote(absolute(pipeline), files, place, share, **options) for share in shares]
    try:
        ray.get(tasks)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        text = f"a task ended after all retries ({retries}): {error}; committed rows are kept: the same call goes on"
        raise RunError({"code": "ray", "message": text, "exit_code": 1}) from error
    finally:
        for one in tasks:
            ray.cancel(one)
    return finish(place)
