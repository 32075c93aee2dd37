"""From the bytes of a stained tile to its colours and facts."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import InputError, UnreadableImageError
from models.quiet import quiet_decoders
from models.radiograph import RadiographFacts
from models.tile import Tile
from serving.imaging.limits import DEFAULT_LIMITS, ImageLimits
from serving.imaging.plain_images import declared_size
from serving.imaging.sniff import SourceFormat, identify_format

_TRANSPARENT = ("LA", "PA", "RGBA")
_GLASS = (255, 255, 255)
"""Where a tile is transparent there is no tissue, which is white in transmitted light."""


def read_tile(data: bytes, *, limits: ImageLimits = DEFAULT_LIMITS) -> Tile:
    """The tile in `data`: PNG or JPEG, told apart by content.

    Raises `UnreadableImageError` where the bytes are not such an image and `InputTooLargeError`
    where they are over one of `limits`; nothing else, for any bytes.
    """
    limits.check_bytes(len(data))
    source = identify_format(data)
    if source is SourceFormat.DICOM:
        raise UnreadableImageError(
            "Found a DICOM object; expected one tile as PNG or JPEG. Export the field of the slide "
            "that is to be looked at as an image of its own.",
            "收到 DICOM 对象，应为一块 PNG 或 JPEG 图块；请将切片中要判断的视野单独导出为图像",
        )
    try:
        with quiet_decoders():
            rows, columns = declared_size(data, source, limits)
            pixels = _colours(data, source)
    except InputError:
        raise
    except Exception:  # noqa: BLE001 - Pillow raises errors of several types on broken images
        raise UnreadableImageError(
            f"The {source} image cannot be decoded: it is truncated or corrupt. Send it again.",
            f"{source} 图像无法解码：文件被截断或已损坏；请重新发送",
        ) from None
    facts = RadiographFacts(source.value, bits_stored=8, rows=rows, columns=columns)
    return Tile(pixels, rows, columns, facts)


def _colours(data: bytes, source: SourceFormat) -> NDArray[np.uint8]:
    with Image.open(BytesIO(data), formats=[source.value]) as image:
        if "transparency" in image.info or image.mode in _TRANSPARENT:
            opaque = Image.new("RGBA", image.size, (*_GLASS, 255))
            return np.asarray(Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB"))
        return np.asarray(image.convert("RGB"))
