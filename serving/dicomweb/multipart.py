"""multipart/related bodies (RFC 2387), as DICOMweb sends them both ways."""

import secrets
from collections.abc import AsyncIterator, Iterable, Iterator
from email.message import Message
from http import HTTPStatus

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from serving.problems import Problem

RELATED = "multipart/related"


def media_type_of(header: str) -> tuple[str, dict[str, str]]:
    """Return the type in a Content-Type or Accept header and its parameters, quotes removed."""
    message = Message()
    message["content-type"] = header
    parameters = message.get_params(failobj=[], unquote=True) or []
    return message.get_content_type(), {name.lower(): str(value) for name, value in parameters[1:]}


class PartReader:
    """Takes a body in pieces and gives the content of its parts, one after the other."""

    def __init__(self, boundary: str, most_bytes: int, most_parts: int) -> None:
        self._most_bytes = most_bytes
        self._most_parts = most_parts
        self._count = 0
        self._data = bytearray()
        self._complete: list[bytes] = []
        self.ended = False
        self._parser = MultipartParser(
            boundary.encode("latin-1"),
            {
                "on_part_data": self._on_data,
                "on_part_end": self._on_end,
                "on_end": self._on_body_end,
            },
        )

    def feed(self, piece: bytes) -> list[bytes]:
        """Take a piece; return the parts that are complete now.

        Raises:
            Problem: 400, it is not multipart; 413, a part or their number is too large.
        """
        try:
            self._parser.write(piece)
        except MultipartParseError:
            raise not_multipart() from None
        complete, self._complete = self._complete, []
        return complete

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if len(self._data) + end - start > self._most_bytes:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"A part has more than {self._most_bytes} bytes, the most that is accepted.",
                {"Connection": "close"},
            )
        self._data += data[start:end]

    def _on_end(self) -> None:
        self._count += 1
        if self._count > self._most_parts:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The body has more than {self._most_parts} parts; send several requests.",
                {"Connection": "close"},
            )
        self._complete.append(bytes(self._data))
        self._data = bytearray()

    def _on_body_end(self) -> None:
        self.ended = True


async def parts_of(
    pieces: AsyncIterator[bytes], boundary: str, *, most_bytes: int, most_parts: int
) -> AsyncIterator[bytes]:
    """Yield the content of each part of a body as soon as it is complete.

    Raises:
        Problem: 400, it is not multipart or ends in the middle; 413, too large.
    """
    reader = PartReader(boundary, most_bytes, most_parts)
    async for piece in pieces:
        for part in reader.feed(piece):
            yield part
    if not reader.ended:
        raise not_multipart()


def not_multipart() -> Problem:
    """Return the refusal of a body that is not what its Content-Type says."""
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "The body is not valid multipart/related, or ends in the middle of a part.",
    )


class Related:
    """A multipart/related response, made part by part."""

    def __init__(self, part_type: str) -> None:
        """`part_type` is the media type of the parts."""
        self._boundary = secrets.token_hex(16)
        essence = part_type.partition(";")[0]
        self.media_type = f'{RELATED}; type="{essence}"; boundary={self._boundary}'
        self._head = f"--{self._boundary}\r\nContent-Type: {part_type}\r\n"

    def encode(self, parts: Iterable[tuple[bytes, str | None]]) -> Iterator[bytes]:
        """Yield the body for `parts`: content, and where it can be had alone."""
        for content, location in parts:
            place = f"Content-Location: {location}\r\n" if location else ""
            yield f"{self._head}{place}Content-Length: {len(content)}\r\n\r\n".encode()
            yield content
            yield b"\r\n"
        yield f"--{self._boundary}--\r\n".encode()
