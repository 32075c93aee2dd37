"""One image that a model has looked at, with all that results are built from."""

from dataclasses import dataclass

from models.findings import PreRead, Text
from serving.recognition import Reading
from serving.results.source import SourceImage


@dataclass(frozen=True, slots=True)
class ReadImage:
    """A reading and the header of the image that was read."""

    source: SourceImage
    reading: Reading
    intended_use: Text
    """What the package is for, in words."""

    @property
    def pre_read(self) -> PreRead:
        """What the model said, or why it said nothing."""
        return self.reading.pre_read
