"""Anyflow on Ray Data: ``dataset.map_batches(anyflow.ray.Anyflow, ...)``."""

import os
import warnings
from typing import Any

import pyarrow as pa

from anyflow.arguments import StrPath
from anyflow.errors import FilesError
from anyflow.runs import run


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
