"""Ten thousand broken images: whatever is wrong with the bytes, only `InputError` escapes."""

import random
import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.errors import InputError
from serving.imaging import read_radiograph
from tests.dicom_samples import PYDICOM_DATA_FILES, PYDICOM_FILES

SMALL_FILES = (
    "693_J2KI.dcm",
    "CT_small.dcm",
    "ExplVR_BigEnd.dcm",
    "GDCMJ2K_TextGBR.dcm",
    "JPEG2000.dcm",
    "JPEG2000-embedded-sequence-delimiter.dcm",
    "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm",
    "JPGExtended.dcm",
    "MR_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_truncated.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_dcmtk_+eb+cy+np.dcm",
    "SC_rgb_gdcm_KY.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_jpeg.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_rle_16bit_2frame.dcm",
    "SC_rgb_small_odd.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "badVR.dcm",
    "image_dfl.dcm",
    "rtdose_rle_1frame.dcm",
)
"""From pydicom: one or more of each transfer syntax, colour model and byte order."""
LARGE_FILES = ("RG1_J2KI.dcm", "RG3_J2KR.dcm", "RG3_UNCR.dcm", "vlut_04.dcm", "mlut_18.dcm")
"""From pydicom-data: radiographs, and images with a VOI and a modality LUT."""
PLAIN_KINDS = ("png-l", "png-16", "png-p", "png-rgba", "jpeg-l", "jpeg-rgb", "jpeg-progressive")
SMALL_MUTANTS = 280
LARGE_MUTANTS = 40

INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
"""Values at which lengths, counts and sizes tend to go wrong."""
HEADER_BYTES = 2048

Mutation = Callable[[random.Random, bytearray], None]


def _position(rng: random.Random, data: bytearray) -> int:
    """A byte to break: in the header as often as not."""
    limit = min(len(data), HEADER_BYTES) if rng.random() < 0.5 else len(data)
    return rng.randrange(max(1, limit))


def flip_bits(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.randint(1, 16)):
        data[_position(rng, data)] ^= 1 << rng.randrange(8)


def replace_bytes(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.randint(1, 8)):
        data[_position(rng, data)] = rng.randrange(256)


def truncate(rng: random.Random, data: bytearray) -> None:
    del data[_position(rng, data) :]


def delete_slice(rng: random.Random, data: bytearray) -> None:
    start = _position(rng, data)
    del data[start : start + rng.randint(1, 64)]


def splice(rng: random.Random, data: bytearray) -> None:
    start, end = _position(rng, data), _position(rng, data)
    data[start : start + rng.randint(0, 64)] = data[end : end + rng.randint(1, 256)]


def overwrite_run(rng: random.Random, data: bytearray) -> None:
    start, size = _position(rng, data), rng.randint(1, 128)
    data[start : start + size] = bytes([rng.choice((0, 0xFF, 0x20))]) * size


def set_number(rng: random.Random, data: bytearray) -> None:
    """A length field, count or dimension becomes something extreme."""
    start, value = _position(rng, data), rng.choice(INTERESTING)
    pattern = rng.choice(("<H", ">H", "<L", ">L"))
    packed = struct.pack(pattern, value & ((1 << 8 * struct.calcsize(pattern)) - 1))
    data[start : start + len(packed)] = packed


def edit_image_element(rng: random.Random, data: bytearray) -> None:
    """An element of the Image Pixel or VOI LUT module becomes something extreme."""
    number = rng.choice((2, 4, 6, 8, 0x10, 0x11, 0x100, 0x101, 0x102, 0x103, 0x1050, 0x1051))
    found = data.find(struct.pack("<HH", 0x28, number))
    if found < 0:
        set_number(rng, data)
        return
    data[found + 6 : found + 10] = struct.pack("<HH", 2, rng.choice(INTERESTING) & 0xFFFF)


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    replace_bytes,
    truncate,
    delete_slice,
    splice,
    overwrite_run,
    set_number,
    edit_image_element,
)


def plain_image(kind: str) -> bytes:
    """A small PNG or JPEG image of each kind that is read."""
    grey = Image.fromarray(np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8))
    deep = Image.fromarray(np.add.outer(np.arange(48), np.arange(64)).astype(np.uint16) * 500)
    kinds: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "png-l": (grey, {"format": "PNG"}),
        "png-16": (deep, {"format": "PNG"}),
        "png-p": (grey.convert("P"), {"format": "PNG"}),
        "png-rgba": (grey.convert("RGBA"), {"format": "PNG"}),
        "jpeg-l": (grey, {"format": "JPEG"}),
        "jpeg-rgb": (grey.convert("RGB"), {"format": "JPEG"}),
        "jpeg-progressive": (grey, {"format": "JPEG", "progressive": True}),
    }
    image, options = kinds[kind]
    stream = BytesIO()
    image.save(stream, **options)
    return stream.getvalue()


def survive(name: str, original: bytes, count: int) -> int:
    """Reads `count` mutants; the number of those that were refused."""
    refused = 0
    for index in range(count):
        rng = random.Random(f"{name}/{index}")
        data = bytearray(original)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            if data:
                rng.choice(MUTATIONS)(rng, data)
        try:
            radiograph = read_radiograph(bytes(data))
        except InputError:
            refused += 1
        except Exception as error:  # noqa: BLE001 - any other is what this test looks for
            pytest.fail(f"mutant {index} of {name} let {error!r} escape")
        else:
            assert radiograph.pixels.size > 0
    return refused


@pytest.mark.parametrize("name", SMALL_FILES)
def test_no_exception_escapes_from_mutants_of_small_files(name: str) -> None:
    survive(name, (PYDICOM_FILES / name).read_bytes(), SMALL_MUTANTS)


@pytest.mark.parametrize("name", LARGE_FILES)
def test_no_exception_escapes_from_mutants_of_radiographs(name: str) -> None:
    survive(name, (PYDICOM_DATA_FILES / name).read_bytes(), LARGE_MUTANTS)


@pytest.mark.parametrize("kind", PLAIN_KINDS)
def test_no_exception_escapes_from_mutants_of_plain_images(kind: str) -> None:
    refused = survive(kind, plain_image(kind), SMALL_MUTANTS)

    assert refused > SMALL_MUTANTS // 4


def test_ten_thousand_mutants_are_read() -> None:
    small = (len(SMALL_FILES) + len(PLAIN_KINDS)) * SMALL_MUTANTS

    assert small + len(LARGE_FILES) * LARGE_MUTANTS >= 10_000


def test_every_prefix_of_a_file_is_answered() -> None:
    original = (PYDICOM_FILES / "MR_small_RLE.dcm").read_bytes()

    for size in range(0, len(original) * 3 // 4, 37):
        with pytest.raises(InputError):
            read_radiograph(original[:size])


def test_random_bytes_are_answered() -> None:
    rng = random.Random(20261123)

    for size in (0, 1, 3, 131, 132, 133, 4096):
        for prefix in (b"", b"\0" * 128 + b"DICM", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"):
            with pytest.raises(InputError):
                read_radiograph(prefix + rng.randbytes(size))
