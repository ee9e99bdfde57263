"""The command ``anyflow``, also as ``python -m anyflow``: becomes the program, with the libtorch of the installed torch."""

import os
import sys

from anyflow.errors import AnyflowError
from anyflow.program import environment, program


def main() -> int:
    """Replaces this process by the program. Returns only if there is none.

    Returns:
        Exit code 1.
    """
    try:
        path = program()
    except AnyflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    os.execve(path, ["anyflow", *sys.argv[1:]], environment())


if __name__ == "__main__":
    sys.exit(main())
