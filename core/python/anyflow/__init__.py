"""Anyflow: turns any set of modalities into any other set.

Pipelines are YAML files, rows are Arrow or Parquet, and the engine runs in a process of its own, so a crash is an
exception and never ends the interpreter::

    import anyflow

    made = anyflow.run(anyflow.PIPELINES / "mld/joint.yaml", rows=4)
    made.to_table()        # pyarrow; also to_pandas(), to_polars(), to_datasets()
    made[0]["image"]       # an Image, which notebooks show
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anyflow.commands import Checked, Finished, Plan, adopt, check, doctor, eval, explain, plan, train
    from anyflow.errors import AnyflowError, Death, FilesError, PluginError, Problem, RunError
    from anyflow.inputs import Data
    from anyflow.media import Audio, Image, Media, Video
    from anyflow.output import Output
    from anyflow.program import PIPELINES
    from anyflow.rows import Rows
    from anyflow.runs import run

__all__ = [
    "PIPELINES",
    "AnyflowError",
    "Audio",
    "Checked",
    "Data",
    "Death",
    "FilesError",
    "Finished",
    "Image",
    "Media",
    "Output",
    "Plan",
    "PluginError",
    "Problem",
    "Rows",
    "RunError",
    "Video",
    "adopt",
    "check",
    "doctor",
    "eval",
    "explain",
    "plan",
    "run",
    "train",
]

if not TYPE_CHECKING:

    def __getattr__(name):
        """Imports a public name when it is asked for: the command line needs none, and pyarrow takes half a second."""
        import importlib

        if name in __all__:
            for module in ("program", "errors", "media", "commands", "inputs", "rows", "output", "runs"):
                found = getattr(importlib.import_module(f"anyflow.{module}"), name, None)
                if found is not None:
                    return found
        raise AttributeError(f"module 'anyflow' has no attribute {name!r}")
