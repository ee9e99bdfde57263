"""An engine that keeps models loaded."""

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from anyflow import program
from anyflow.arguments import options, settings
from anyflow.call import Call
from anyflow.errors import wrong
from anyflow.following import Progress
from anyflow.inputs import Data
from anyflow.made import Made, Preview
from anyflow.places import StrPath, absolute
from anyflow.request import Request
from anyflow.runs import run as run_of_files
from anyflow.service import Service
from anyflow.wording import wording_of
from anyflow.work import Run

_Arguments = ParamSpec("_Arguments")
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Loaded:
    """A pipeline with its overrides, compiled and loaded: `Engine.run` takes it in place of a file."""

    #: The plan that the engine receives.
    plan: Mapping[str, Any]
    #: Name of the model.
    model: str
    #: Bytes of the model's tensors.
    bytes: int


def _blocking(submit: Callable[_Arguments, Run]) -> Callable[_Arguments, Made]:
    @functools.wraps(submit, assigned=["__module__"])
    def run(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> Made:
        """Runs rows through a pipeline and waits for them. Arguments and errors: those of `submit`."""
        return submit(*args, **kwargs).result()

    return _signed(run, submit, Made)


def _awaited(submit: Callable[_Arguments, Run]) -> Callable[_Arguments, Coroutine[Any, Any, Made]]:
    @functools.wraps(submit, assigned=["__module__"])
    async def run_async(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> Made:
        """Runs rows through a pipeline; a task that is cancelled cancels them. Arguments and errors: those of `submit`."""
        return await submit(*args, **kwargs)

    return _signed(run_async, submit, Made)


def _signed(function: _Function, submit: Callable[..., Run], returned: type) -> _Function:
    """States for `help` what the types state."""
    setattr(function, "__signature__", inspect.signature(submit).replace(return_annotation=returned))
    function.__qualname__ = f"Engine.{function.__name__}"
    return function


class Engine:
    """An engine that keeps models loaded, for many runs of rows in memory::

        with anyflow.Engine() as engine:
            made = engine.run("pipeline.yaml", table, progress=True)
            made = await engine.run_async("pipeline.yaml", table)
            run = engine.submit("pipeline.yaml", table)     # run.cancel(), run.result(), await run

    The engine runs in processes of its own. If it dies, for example in a plugin, the runs that are in it fail with an
    exception, and the next run starts another one. Runs of several threads or tasks share the batches of the engine. A
    process that is forked leaves the engine to its parent: its own runs start another one.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: By default all cores.
        memory: Limit of all loaded models together, such as ``4G``. By default a quarter of the machine's. The least
            recently used model leaves first.
        batch_rows: Maximum rows per network call.
        timeout: Seconds that a call into a plugin may take. By default any.
    """

    def __init__(
        self,
        *,
        device: str = "cpu",
        threads: int | None = None,
        memory: str | None = None,
        batch_rows: int | None = None,
        timeout: float | None = None,
    ) -> None:
        self._service = Service(
            {"device": device, "threads": threads, "memory": memory, "batch_rows": batch_rows, "timeout": timeout}
        )

    def __enter__(self) -> "Engine":
        self._service.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the engine. Runs that are in it fail."""
        self._service.close()

    def submit(
        self,
        pipeline: StrPath | Loaded,
        data: Data | None = None,
        *,
        rows: int | None = None,
        seed: int | None = None,
        key: str | None = None,
        keep: Sequence[str] | None = None,
        progress: bool | Callable[[Progress], None] = False,
        on_preview: Callable[[Preview], None] | None = None,
        preview_steps: int = 10,
        **overrides: object,
    ) -> Run:
        """Starts a run of rows and returns at once.

        Rows travel as Arrow data; their cells must hold the bytes of their files. Noise belongs to the keys of rows, so a
        row is that of `anyflow.run` with the same seed, within the rounding of another batch.

        Args:
            pipeline: The YAML file, or what `load` returned.
            data: The rows, as for `anyflow.run`. Iterators are read while the engine works.
            rows: Number of rows to generate; with ``data``, the maximum number of rows to read.
            seed: Seed of the noise, in place of the file's seeds.
            key: Column of row keys. By default ``id`` if there is one, else the row number.
            keep: Columns to copy to the result, ``["*"]`` for all. By default all but large files that the pipeline reads.
            progress: True for a progress bar (tqdm must be installed), or what is called with each `Progress`.
            on_preview: Called with previews of the outputs. An exception of it or of ``progress`` ends the run.
            preview_steps: Steps of a sampler from one preview to the next.
            overrides: Values in place of the file's, as for `anyflow.run`.

        Raises:
            FilesError: Files or arguments are wrong; ``problems`` has file and line of each mistake. Data without rows
                counts. As all errors, it is raised by whoever waits for the run.
            PluginError: A plugin is wrong or crashed: ``death`` names it.
            RunError: Every row failed: ``failed`` and ``first_failure`` say how many, and why. Or the run failed for
                another reason.
            Cancelled: The run was cancelled.
        """

        def plan() -> Mapping[str, Any]:
            if not isinstance(pipeline, Loaded):
                return _plan(pipeline, seed, overrides)
            if seed is not None or overrides:
                text = "a loaded pipeline has its seed and its overrides; give them to load()"
                raise wrong("usage", text)
            return pipeline.plan

        return Run(self._service, Request(plan, data, rows, key, keep, progress, on_preview, preview_steps))

    #: `submit`, and wait.
    run = _blocking(submit)
    #: `submit`, and await.
    run_async = _awaited(submit)

    def load(self, pipeline: StrPath, *, seed: int | None = None, **overrides: object) -> Loaded:
        """Loads the model of a pipeline now. The first run would do it.

        Args:
            pipeline: The YAML file.
            seed: As for `submit`.
            overrides: As for `submit`.

        Raises:
            AnyflowError: As `submit`.
        """
        plan = _plan(pipeline, seed, overrides)
        found = Call(self._service).make(plan["format"], {"call": "load", "plan": plan}).result
        return Loaded(plan, found["model"], found["bytes"])

    def unload(self, pipeline: Loaded) -> bool:
        """Drops the model of a pipeline when no run needs it any more; false if it is not loaded."""
        call = {"call": "unload", "plan": pipeline.plan}
        return Call(self._service).make(pipeline.plan["format"], call).result["unloaded"]


def _plan(pipeline: StrPath, seed: int | None, overrides: Mapping[str, object]) -> Mapping[str, Any]:
    # The engine has another working directory.
    command = ["plan", absolute(pipeline), *options({"seed": seed}), *settings(overrides)]
    with wording_of(Engine.submit, _elsewhere()).applied(overrides):
        return program.call(command)


def _elsewhere() -> Mapping[str, str]:
    """Arguments that `submit` lacks, with the functions that have them."""
    files = dict.fromkeys(inspect.signature(run_of_files).parameters, "anyflow.run()")
    return {**files, **dict.fromkeys(inspect.signature(Engine).parameters, "anyflow.Engine()")}
