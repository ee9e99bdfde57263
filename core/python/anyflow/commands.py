"""The commands besides ``run``: each is a function, and returns what the program prints as JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from anyflow import program
from anyflow.arguments import Option, options, settings
from anyflow.errors import Problem, problems_from
from anyflow.places import StrPath, place_of
from anyflow.wording import wording_of


@dataclass(frozen=True)
class Checked:
    """A file without mistakes."""

    #: ``pipeline``, ``model``, ``training`` or ``evaluation``.
    kind: str
    #: What is allowed but probably not intended.
    warnings: tuple[Problem, ...]
    #: Columns of the input that outputs of the pipeline replace.
    replaced_columns: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What a command would do."""

    #: The plan that the engine receives.
    job: Mapping[str, Any]
    #: The steps, for people.
    text: str
    #: The graph as an SVG image, which notebooks show.
    svg: str

    def __str__(self) -> str:
        return self.text

    def _repr_svg_(self) -> str:
        return self.svg


@dataclass(frozen=True)
class Finished:
    """A finished training or evaluation."""

    #: Its folder.
    path: Path
    #: Its figures.
    result: Mapping[str, Any]


@dataclass(frozen=True)
class _Job:
    """What a training and an evaluation have in common."""

    file: StrPath
    output: StrPath
    data: StrPath | None
    device: str
    threads: int | None
    memory: str | None
    timeout: float | None
    overrides: Mapping[str, object]

    def run(self, function: Callable[..., Finished], more: Mapping[str, Option]) -> Finished:
        shared = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in ("file", "overrides")}
        given = options({**shared, **more})
        with wording_of(function).applied(self.overrides):
            result = program.call([function.__name__, place_of(self.file), *given, *settings(self.overrides)])
        return Finished(Path(place_of(self.output)), result)


def check(file: StrPath, *, input: StrPath | None = None, data: StrPath | None = None, **overrides: object) -> Checked:
    """Finds every mistake in a pipeline, model, training or evaluation; needs no GPU, no libtorch and no weights.

    Args:
        file: The YAML file.
        input: Parquet files whose columns a pipeline must fit.
        data: The folder of the datasets that a training or evaluation names.
        overrides: Values in place of the file's, as for `run`.

    Raises:
        FilesError: With all mistakes in ``problems``.
    """
    given = options({"input": input, "data": data})
    with wording_of(check).applied(overrides):
        report = program.call(["check", place_of(file), *given, *settings(overrides)])
    warnings = problems_from(report.get("warnings", []))
    return Checked(report["kind"], warnings, tuple(report.get("replaced_columns", [])))


def plan(file: StrPath, *, data: StrPath | None = None, **overrides: object) -> Plan:
    """Compiles a pipeline, training or evaluation, without running it.

    Args:
        file: The YAML file.
        data: The folder of the datasets that a training or evaluation names.
        overrides: Values in place of the file's, as for `run`.

    Raises:
        FilesError: With all mistakes in ``problems``.
    """
    command = ["plan", place_of(file), *options({"data": data}), *settings(overrides)]
    # The first call is the one that reports errors as values.
    with wording_of(plan).applied(overrides):
        job = program.call(command)
    return Plan(job, program.text(command), program.text([*command, "--format=svg"]))


def train(
    file: StrPath,
    output: StrPath,
    *,
    data: StrPath | None = None,
    seed: int | None = None,
    readers: int | None = None,
    device: str = "cpu",
    threads: int | None = None,
    memory: str | None = None,
    timeout: float | None = None,
    **overrides: object,
) -> Finished:
    """Trains a model; the same call resumes a training that was interrupted.

    Args:
        file: The training (YAML).
        output: Folder for checkpoints and metrics.
        data: The folder of the datasets that the file names. By default the file's folder.
        seed: In place of the file's seed.
        readers: Threads that encode rows; the weights do not depend on it.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: By default all cores.
        memory: Limit such as ``4G``. By default a quarter of the machine's.
        timeout: Seconds that a call into a plugin may take. By default any.
        overrides: Values in place of the file's, as for `run`.

    Raises:
        AnyflowError: See its subclasses.
    """
    job = _Job(file, output, data, device, threads, memory, timeout, overrides)
    return job.run(train, {"seed": seed, "readers": readers})


def eval(
    file: StrPath,
    output: StrPath,
    *,
    data: StrPath | None = None,
    device: str = "cpu",
    threads: int | None = None,
    memory: str | None = None,
    timeout: float | None = None,
    **overrides: object,
) -> Finished:
    """Evaluates a model on held-out rows.

    Args:
        file: The evaluation (YAML).
        output: Folder for the results.
        data: This and what follows: as for `train`.
        device: See `train`.
        threads: See `train`.
        memory: See `train`.
        timeout: See `train`.
        overrides: See `train`.

    Raises:
        AnyflowError: See its subclasses.
    """
    return _Job(file, output, data, device, threads, memory, timeout, overrides).run(eval, {})


def adopt(folder: StrPath, output: StrPath, *, variant: str | None = None, like: str | None = None) -> str:
    """Writes the model file of a published model. The weights stay where they are.

    Args:
        folder: The model, as diffusers or transformers write it.
        output: The model file to write (YAML).
        variant: Variant of the weights, such as ``fp16``.
        like: Family of a folder without a configuration, such as ``taesd``.

    Returns:
        The text of the model file.

    Raises:
        FilesError: The folder holds no model that Anyflow knows.
    """
    given = options({"output": output, "variant": variant, "like": like})
    with wording_of(adopt).applied():
        return program.call(["adopt", place_of(folder), *given])["model"]


def explain(key: str) -> str:
    """Explains a key or kind of the YAML files, or the code of an error.

    Raises:
        FilesError: There is no such key or code.
    """
    return program.text(["explain", key])


def doctor() -> Mapping[str, Any]:
    """Checks everything that a run needs: ``ready`` is true if a run can work; the other entries are findings."""
    return program.call(["doctor"])
