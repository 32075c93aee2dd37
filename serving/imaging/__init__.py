"""From the bytes of a radiograph to its pixels and facts.

`read_radiograph` reads DICOM, PNG and JPEG within the bounds of `ImageLimits`, decodes no more
pixels than a network needs, and raises `UnreadableImageError` or `InputTooLargeError`, nothing
else, for any bytes. `docs/imaging.md` tells what is read and what is refused.
"""

from serving.imaging.dicom_pixels import READ_TRANSFER_SYNTAXES
from serving.imaging.limits import DEFAULT_LIMITS, ImageLimits
from serving.imaging.reading import read_radiograph
from serving.imaging.tiles import read_tile

__all__ = [
    "DEFAULT_LIMITS",
    "READ_TRANSFER_SYNTAXES",
    "ImageLimits",
    "read_radiograph",
    "read_tile",
]
