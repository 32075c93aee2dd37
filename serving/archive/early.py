"""Writing an instance while it arrives.

A sender needs as long to send an instance as it takes to digest, encrypt and write it, and waits
for its answer before it sends the next: what is done while it sends, it does not wait for.
"""

from serving.archive.file_meta import file_meta
from serving.archive.header import InstanceHeader, is_uid
from serving.objects import ObjectStore, ObjectWriter


class EarlyFile:
    """The file of an instance of which the sender has said what it is and the first bytes came.

    Whether it is that is known at the end; if not, what was written is forgotten.
    """

    def __init__(
        self, objects: ObjectStore, sop_class_uid: str, sop_instance_uid: str, syntax_uid: str
    ) -> None:
        self._identity = (sop_class_uid, sop_instance_uid)
        self._objects = objects
        self._writer: ObjectWriter | None = None
        self._fault: OSError | None = None
        self._is_wanted = all(map(is_uid, self._identity))
        self.head = file_meta(*self._identity, syntax_uid) if self._is_wanted else b""
        """What stands before the data set in the file."""

    def add(self, content: memoryview) -> None:
        """Write what has come of the file, which `content` is as far as it has: head, data set."""
        if not self._is_wanted or self._fault is not None:
            return
        try:
            if self._writer is None:
                self._writer = self._objects.writer()
            self._writer.follow(content)
        except OSError as error:
            self._fault = error
            self.close()

    def writer_for(self, header: InstanceHeader) -> ObjectWriter | None:
        """Return what has written the file of the instance with `header`; None if nothing has.

        Raises:
            OSError: it could not be written.
        """
        if self._fault is not None:
            raise self._fault
        if (header.sop_class_uid, header.sop_instance_uid) != self._identity:
            return None
        writer, self._writer = self._writer, None
        return writer

    def close(self) -> None:
        """Forget what was not taken."""
        if self._writer is not None:
            self._writer.discard()
            self._writer = None
