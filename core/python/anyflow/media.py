"""Cells that are encoded files: images, sounds and videos. Notebooks show and play them."""

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyflow.optional import package

#: The first bytes of formats. In RIFF and MP4 files the kind stands behind a length.
_SIGNATURES = [
    (0, b"\x89PNG", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (0, b"BM", "image/bmp"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (4, b"ftyp", "video/mp4"),
]


@dataclass(frozen=True)
class Media:
    """A file in a cell."""

    #: The whole file.
    data: bytes = field(repr=False)
    #: The name that the cell gives it.
    path: str | None = None

    @property
    def mime_type(self) -> str:
        """The format, from the first bytes; ``application/octet-stream`` if it is unknown."""
        for start, signature, mime_type in _SIGNATURES:
            if self.data[start : start + len(signature)] == signature:
                return mime_type
        return "application/octet-stream"

    def save(self, path: "str | Path") -> None:
        """Writes the file."""
        Path(path).write_bytes(self.data)

    def _url(self) -> str:
        return f"data:{self.mime_type};base64,{base64.b64encode(self.data).decode()}"


class Image(Media):
    """An encoded image."""

    def to_pil(self) -> Any:
        """Decodes it with Pillow."""
        import io

        return package("PIL.Image", "to_pil()", "pillow").open(io.BytesIO(self.data))

    def _repr_html_(self) -> str:
        return f'<img src="{self._url()}" style="min-width: 6em; image-rendering: pixelated">'


class Audio(Media):
    """An encoded recording."""

    def _repr_html_(self) -> str:
        return f'<audio controls src="{self._url()}"></audio>'


class Video(Media):
    """An encoded film."""

    def _repr_html_(self) -> str:
        return f'<video controls loop src="{self._url()}"></video>'
