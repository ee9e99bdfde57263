"""Frames: what this package and the engine send each other. `core/plan/src/protocol/frame.rs` describes them."""

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

#: Bytes of JSON, version of the protocol, number of the frame.
_HEAD = struct.Struct("<IIQ")


class Frames:
    """Writes and reads the frames of a connection.

    Args:
        stream: The connection.
        version: The version of the protocol, which is that of plans.
    """

    def __init__(self, stream: socket.socket, version: int) -> None:
        self._stream = stream
        self._version = version
        self._written = 0
        self._read = 0

    def write(self, value: Mapping[str, Any], attached: pa.Buffer | None = None) -> None:
        """Writes a value, and the bytes that follow it.

        Raises:
            OSError: The other side is gone.
        """
        text = json.dumps(value).encode() + b"\n"
        self._stream.sendall(_HEAD.pack(len(text), self._version, self._written) + text)
        self._written += 1
        if attached is not None:
            self._stream.sendall(memoryview(attached))

    def read(self) -> dict[str, Any]:
        """The next value.

        Raises:
            OSError: The other side is gone, or is of another release.
        """
        length, version, number = _HEAD.unpack(self.attached(_HEAD.size).to_pybytes())
        if version != self._version or number != self._read:
            raise OSError(f"frame {number} of version {version}, expected {self._read} of {self._version}")
        self._read += 1
        return json.loads(self.attached(length).to_pybytes())

    def attached(self, length: int) -> pa.Buffer:
        """The bytes that follow a value, which says how many they are. They are received in place.

        Raises:
            OSError: The other side is gone.
        """
        buffer = pa.allocate_buffer(length)
        rest = memoryview(buffer)
        while len(rest):
            count = self._stream.recv_into(rest)
            if count == 0:
                raise ConnectionError("the connection ended")
            rest = rest[count:]
        return buffer
