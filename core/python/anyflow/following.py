"""Tells how far a run is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anyflow.optional import package


@dataclass(frozen=True)
class Progress:
    """How far a run is. A row counts by the share of its network calls that are done."""

    #: Rows done.
    done: float
    #: Rows in all, if known.
    total: int | None


class Bar:
    """Collects the steps of a run.

    Args:
        shown: True for a bar of tqdm; or what is called with the progress.
        name: The name of the pipeline.
        total: Number of rows, if known.
        nodes: The nodes that diffuse.
    """

    def __init__(
        self, shown: bool | Callable[[Progress], None], name: str, total: int | None, nodes: Sequence[str]
    ) -> None:
        self._tell = None if isinstance(shown, bool) else shown
        self._bar: Any = None
        if shown is True:
            self._bar = package("tqdm.auto", "progress=True").tqdm(total=total, desc=name, unit="row")
        self._total = total
        self._nodes = max(1, len(nodes))
        self._complete = 0
        self._done = 0.0
        #: First row of a part -> (node, first row of a group) -> its rows, weighted by their steps.
        self._steps: dict[int, dict[tuple[str, int], float]] = {}

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self, part: int, event: Mapping[str, Any]) -> None:
        """Notes that rows of a part have had a network call. The engine leaves out events that come too fast."""
        steps = self._steps.setdefault(part, {})
        steps[event["node"], event["first_row"]] = event["rows"] * event["step"] / event["steps"]
        self._show()

    def complete(self, part: int, rows: int) -> None:
        """Notes that a part is done."""
        self._steps.pop(part, None)
        self._complete += rows
        self._show()

    def _show(self) -> None:
        under_way = sum(sum(steps.values()) for steps in self._steps.values()) / self._nodes
        # The engine may group rows anew, which then count less.
        self._done = max(self._done, self._complete + under_way)
        if self._bar is not None:
            self._bar.update(round(self._done, 2) - self._bar.n)
        if self._tell is not None:
            self._tell(Progress(self._done, self._total))
