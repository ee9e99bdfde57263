"""What a run in an engine is asked to do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anyflow.arguments import count
from anyflow.errors import wrong
from anyflow.following import Progress
from anyflow.inputs import Data
from anyflow.made import Preview


@dataclass(frozen=True)
class Request:
    """What to run."""

    #: Returns the plan of the pipeline.
    plan: Callable[[], Mapping[str, Any]]
    data: Data | None
    rows: int | None = None
    key: str | None = None
    keep: Sequence[str] | None = None
    progress: bool | Callable[[Progress], None] = False
    on_preview: Callable[[Preview], None] | None = None
    preview_steps: int = 10

    def check(self, plan: Mapping[str, Any]) -> None:
        """Checks that the number of rows follows from the data, or is given.

        Raises:
            FilesError: It does not, or data is given to a pipeline that reads none; a number is below 1.
        """
        count("preview_steps", self.preview_steps)
        if self.data is None and plan["inputs"]:
            text = f"pipeline {plan['name']} reads rows; give it data"
        elif self.data is not None and not plan["inputs"]:
            text = f"pipeline {plan['name']} has no inputs; give it the number of rows in place of data"
        elif self.data is None and self.rows is None:
            text = f"pipeline {plan['name']} has no inputs; give it a number of rows"
        else:
            return
        raise wrong("usage", text)
