"""Reading an encrypted object as if it were a plain file."""

import io
from typing import BinaryIO

from serving.objects.encryption import (
    HEADER_BYTES,
    SEGMENT_BYTES,
    TAG_BYTES,
    Header,
    ObjectKeys,
    segments_of,
)


class ObjectReader(io.RawIOBase):
    """The plain bytes of an object; only the segments that are asked for are read and decrypted.

    Raises `SealError` while reading where the object was changed on disk.
    """

    def __init__(self, file: BinaryIO, header: Header, keys: ObjectKeys) -> None:
        super().__init__()
        self._file = file
        self._keys = keys
        self._size = header.size
        self._position = 0
        self._at_hand: tuple[int, bytes] | None = None

    @property
    def size(self) -> int:
        """Plain bytes of the object."""
        return self._size

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place; as for any file, beyond the end is allowed and empty."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("a place before the beginning of the object")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._position

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Fill `buffer` as far as one segment goes; return how many bytes."""
        if self._position >= self._size:
            return 0
        number, offset = divmod(self._position, SEGMENT_BYTES)
        piece = self._segment(number)[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def close(self) -> None:
        """Close the file behind."""
        if not self.closed:
            self._file.close()
        super().close()

    def _segment(self, number: int) -> bytes:
        if self._at_hand is None or self._at_hand[0] != number:
            last = number == segments_of(self._size) - 1
            self._file.seek(HEADER_BYTES + number * (SEGMENT_BYTES + TAG_BYTES))
            length = min(SEGMENT_BYTES, self._size - number * SEGMENT_BYTES)
            sealed = self._file.read(length + TAG_BYTES)
            self._at_hand = number, self._keys.decrypt(number, sealed, last=last)
        return self._at_hand[1]
