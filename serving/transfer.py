"""How a body's bytes come in."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class LargeBodyProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with two copies of a body less.

    uvicorn gathers what arrives in a bytearray and hands on a copy of it. When the application
    takes each piece as it comes, there is nothing to gather: the piece itself can be handed on.
    """

    def on_body(self, body: bytes) -> None:
        """Take in one piece of the request's body."""
        if not self.cycle.body:
            # Bytes added to empty bytes, unlike to an empty bytearray, are those bytes themselves.
            self.cycle.body = b""  # type: ignore[assignment]
        super().on_body(body)
