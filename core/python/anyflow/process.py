"""The processes of an engine: the engine and the program that watches it."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from anyflow.errors import AnyflowError, RunError
from anyflow.folders import ending
from anyflow.program import Running, failure

#: Seconds in which an engine must answer its first call.
_STARTING = 60.0
#: Seconds in which the end of an engine must be known after its connections have ended.
_NOTICE = 30.0
#: Seconds that an engine gets to end.
_ENDING = 10.0
#: The longest path of a socket on Linux.
_LONGEST_SOCKET = 107


class EngineProcess:
    """An engine, with the program that watches it."""

    def __init__(self, options: Sequence[str]) -> None:
        folder = tempfile.mkdtemp(prefix="anyflow-")
        if len(folder) > _LONGEST_SOCKET - len("/engine.sock"):
            shutil.rmtree(folder)
            folder = tempfile.mkdtemp(prefix="anyflow-", dir="/tmp")
        self._socket = str(Path(folder) / "engine.sock")
        # Files, since nobody reads while the engine runs.
        self._said = (Path(folder) / "out", Path(folder) / "complaints")
        try:
            arguments = ["engine", f"--socket={self._socket}", *options, "--json"]
            with self._said[0].open("wb") as out, self._said[1].open("wb") as complaints:
                self._running = Running(arguments, out, complaints)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self.close = ending(self, _end, self._running, folder)
        # The service ends it with the interpreter: before that, its calls could start another one.
        self.close.atexit = False

    @property
    def is_alive(self) -> bool:
        """False once the engine has ended."""
        return self._running.process.poll() is None

    def connect(self) -> socket.socket:
        """A connection. Waits for an engine that starts.

        Raises:
            AnyflowError: The engine does not start.
        """
        deadline = time.monotonic() + _STARTING
        while time.monotonic() < deadline:
            stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                stream.connect(self._socket)
                return stream
            except OSError:
                stream.close()
            if not self.is_alive:
                raise self.ending()
            time.sleep(0.005)
        raise RunError({"code": "engine.start", "message": "the engine does not answer", "exit_code": 1})

    def ending(self) -> AnyflowError:
        """Why the engine ended. Waits for its end."""
        try:
            code = self._running.process.wait(_NOTICE)
        except subprocess.TimeoutExpired:
            text = "the engine closed a connection without an answer"
            return RunError({"code": "engine.protocol", "message": text, "exit_code": 1})
        try:
            out, complaints = (file.read_text(errors="replace") for file in self._said)
        except OSError:
            return closed()
        return failure(code, out, complaints)


def closed() -> AnyflowError:
    """The error of a call to an engine that its user has closed, maybe while the call was in it."""
    text = "the engine is closed, and a run that was in it has ended without a result; use an engine that is open"
    return RunError({"code": "closed", "message": text, "exit_code": 1})


def _end(running: Running, folder: str) -> None:
    running.process.send_signal(signal.SIGINT)
    try:
        running.process.wait(_ENDING)
    except subprocess.TimeoutExpired:
        running.process.kill()
        running.process.wait()
    running.release()
    shutil.rmtree(folder, ignore_errors=True)
