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
    from anyflow.engine import Engine, Loaded
    from anyflow.errors import AnyflowError, Cancelled, Death, FilesError, PluginError, Problem, RunError
    from anyflow.following import Progress
    from anyflow.inputs import Data
    from anyflow.made import Made, Preview
    from anyflow.media import Audio, Image, Media, Video
    from anyflow.output import Output
    from anyflow.program import PIPELINES
    from anyflow.rows import Rows
    from anyflow.runs import finish, run
    from anyflow.work import Run

__all__ = [
    "PIPELINES",
    "AnyflowError",
    "Audio",
    "Cancelled",
    "Checked",
    "Data",
    "Death",
    "Engine",
    "FilesError",
    "Finished",
    "Image",
    "Loaded",
    "Made",
    "Media",
    "Output",
    "Plan",
    "PluginError",
    "Preview",
    "Problem",
    "Progress",
    "Rows",
    "Run",
    "RunError",
    "Video",
    "adopt",
    "check",
    "doctor",
    "eval",
    "explain",
    "finish",
    "plan",
    "run",
    "train",
]

if not TYPE_CHECKING:
    #: Where the names are.
    _MODULES = ("program", "errors", "media", "commands", "inputs", "rows", "output", "runs", "made", "following", "engine", "work")

    def __getattr__(name):
        """Imports a public name when it is asked for: the command line needs none, and pyarrow takes half a second."""
        import importlib

        if name in __all__:
            for module in _MODULES:
                found = getattr(importlib.import_module(f"anyflow.{module}"), name, None)
                if found is not None:
                    return found
        raise AttributeError(f"module 'anyflow' has no attribute {name!r}")
