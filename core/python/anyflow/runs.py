"""Runs a pipeline over rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from anyflow import program, stores
from anyflow.arguments import column_names, count, options, settings
from anyflow.errors import RunError, rows_failed
from anyflow.folders import TemporaryFolder
from anyflow.inputs import IN_MEMORY, Data, as_files, places_of
from anyflow.output import FAILURES, Output
from anyflow.places import StrPath, place_of
from anyflow.wording import wording_of

#: Arguments that only runs in an engine have.
_ELSEWHERE: Mapping[str, str] = {name: "Engine.run()" for name in ("progress", "on_preview", "preview_steps")}


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
        data: The rows: paths or addresses of Parquet files, anything with Arrow data (a table, a pandas or polars frame), a
            ``datasets.Dataset``, or record batches one after another. Rows in memory are written to a temporary file.
            ``None`` for pipelines without inputs.
        output: Folder for the rows, or an address in a store. By default a temporary folder, which is removed with the
            returned object.
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
        FilesError: Files or arguments are wrong; ``problems`` has file and line of each mistake. Data without rows counts.
        PluginError: A plugin is wrong or crashed.
        RunError: Every row failed, or more than ``max_failures``: ``failed`` and ``first_failure`` say how many, and why.
            Or the run failed for another reason.
    """
    given: dict[str, object] = {
        "rows": count("rows", rows),
        "where": where,
        "skip": skip,
        "draws": draws,
        "seed": seed,
        "key": key,
        "keep": column_names(keep),
        "shard_rows": shard_rows,
        "file_size": file_size,
        "batch_rows": batch_rows,
        "max_failures": max_failures,
        "device": device,
        "threads": threads,
        "memory": memory,
        "timeout": timeout,
    }
    folder = TemporaryFolder() if output is None else None
    place = str(folder.path) if folder is not None else place_of(output or "")
    try:
        result = _run(pipeline, data, place, {**given, **overrides}, is_kept=folder is None)
    except BaseException:
        if folder is not None:
            folder.remove()
        raise
    return Output(place, result=result, folder=folder)


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
    return _call(pipeline, files, place_of(output), {"shards": share, **options}, {})


def finish(output: StrPath) -> Output:
    """Makes one output of the parts of a job, which `anyflow.ray.run_job` or ``anyflow run --shards I/N`` wrote.

    Raises:
        FilesError: Parts are missing, or are of different jobs.
    """
    place = place_of(output)
    return Output(place, result=program.call(["finish", place]))


def _run(
    pipeline: StrPath, data: Data | None, place: str, given: Mapping[str, object], *, is_kept: bool
) -> Mapping[str, Any]:
    is_memory = data is not None and places_of(data) is None
    with as_files(data) as files:
        called = dict.fromkeys(files, IN_MEMORY) if is_memory else {}
        try:
            return _call(pipeline, files, place, given, called)
        except RunError as error:
            # The file that it names may go with this call.
            raise _with_failures(error, place, is_kept) from None


def _with_failures(error: RunError, place: str, is_kept: bool) -> RunError:
    """The error with the first failed row, if failed rows are why."""
    if FAILURES not in error.message:
        return error
    failures = (stores.place(place) / FAILURES).read_table()
    message = error.message if is_kept else error.message.partition(";")[0]
    return rows_failed(message, failures.num_rows, failures.slice(0, 1).to_pylist()[0])


def _call(
    pipeline: StrPath, files: Sequence[str], place: str, given: Mapping[str, object], called: Mapping[str, str]
) -> Mapping[str, Any]:
    """Runs the command; what is no option of `run` is an override."""
    wording = wording_of(run, _ELSEWHERE)
    known = {"shards", *wording.arguments}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if name in known}
    overrides = {name: value for name, value in given.items() if name not in known}
    inputs = [f"--input={file}" for file in files]
    command = ["run", place_of(pipeline), *inputs, f"--output={place}"]
    with wording.applied(overrides, called):
        return program.call([*command, *options(chosen), *settings(overrides)])
