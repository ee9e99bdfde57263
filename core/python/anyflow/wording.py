"""Words errors of the program for Python: its options are arguments here."""

import contextlib
import difflib
import inspect
import re
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from anyflow.errors import AnyflowError

#: An option, with the name of its value and in quotes or not.
_OPTION = re.compile(r"'?--([a-z][a-z-]*)(?: (?:<[A-Z_]+>|N\b))?'?")
#: What the values of `--set` are in Python; the program names them as a file.
_OVERRIDES = "overrides"
_NOTHING: Mapping[str, str] = {}
#: How alike two names are if one may be meant by the other.
_ALIKE = 0.75


@dataclass(frozen=True)
class Wording:
    """How a function calls what the program speaks of."""

    #: The arguments of the function.
    arguments: Collection[str]
    #: Arguments that other functions have, with those functions.
    elsewhere: Mapping[str, str]

    @contextlib.contextmanager
    def applied(self, overrides: Iterable[str] = (), called: Mapping[str, str] = _NOTHING) -> Generator[None, None, None]:
        """Words the errors of the context.

        Args:
            overrides: The names that are no arguments.
            called: Names in messages, and what to call them.
        """
        try:
            yield
        except AnyflowError as error:
            raise type(error)(self._worded(error.report, overrides, called)) from None

    def _worded(
        self, report: Mapping[str, Any], overrides: Iterable[str], called: Mapping[str, str]
    ) -> Mapping[str, Any]:
        message = self._text(report["message"])
        for name, new in called.items():
            message = message.replace(name, new)
        hints = [self._hint(name) for name in overrides if f"`{name}`" in message]
        worded = {**report, "message": "; ".join([message, *filter(None, hints)])}
        if "errors" in report:
            worded["errors"] = [self._placed(one) for one in report["errors"]]
        return worded

    def _placed(self, diagnostic: Mapping[str, Any]) -> Mapping[str, Any]:
        place = diagnostic["place"]
        worded = {**place, "file": _OVERRIDES if place["file"] == "--set" else place["file"]}
        return {**diagnostic, "message": self._text(diagnostic["message"]), "place": worded}

    def _text(self, text: str) -> str:
        names = {"input": "`data`", **{name.replace("_", "-"): f"`{name}`" for name in self.arguments}, "set": _OVERRIDES}
        return _OPTION.sub(lambda found: names.get(found[1], found[0]), text)

    def _hint(self, name: str) -> str | None:
        meant = difflib.get_close_matches(name, [*self.arguments, *self.elsewhere], 1, _ALIKE)
        if not meant:
            return None
        if meant[0] in self.arguments:
            return f"did you mean the argument `{meant[0]}`?"
        return f"`{meant[0]}` is an argument of {self.elsewhere[meant[0]]}"


def wording_of(function: Callable[..., Any], elsewhere: Mapping[str, str] = _NOTHING) -> Wording:
    """The wording of a function that takes overrides.

    Args:
        function: The function.
        elsewhere: Arguments that other functions have, with those functions.
    """
    return Wording([name for name in inspect.signature(function).parameters if name != _OVERRIDES], elsewhere)
