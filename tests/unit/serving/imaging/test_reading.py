"""Every layout of pixels that is read, built in memory."""

import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
)

from models.errors import InputTooLargeError, UnreadableImageError
from serving.imaging import ImageLimits, read_radiograph
from serving.imaging.reduction import reduced_length
from tests.dicom_samples import encode, radiograph_dataset, radiograph_file, ramp


def _grey(data: bytes, **options: Any) -> np.ndarray:
    return read_radiograph(data, **options).pixels.astype(int)


@pytest.mark.parametrize("bits", range(8, 17))
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_bits_signs_and_polarities(bits: int, signed: bool, photometric: str) -> None:
    low = -(1 << (bits - 1)) if signed else 0
    values = np.linspace(low, low + (1 << bits) - 1, 256).round()
    pixels = np.tile(values, (4, 1)).astype(np.int16 if signed else np.uint16)
    data = radiograph_file(
        pixels,
        BitsStored=bits,
        HighBit=bits - 1,
        PhotometricInterpretation=photometric,
        WindowCenter=low + (1 << (bits - 1)),
        WindowWidth=1 << bits,
    )

    expected = np.arange(256) if photometric == "MONOCHROME2" else np.arange(255, -1, -1)
    assert np.abs(_grey(data)[0] - expected).max() <= 1


def test_bits_above_the_stored_ones_are_dropped() -> None:
    pixels = ramp() | np.uint16(0xF000)

    data = radiograph_file(pixels, BitsStored=12, HighBit=11, WindowCenter=2048, WindowWidth=4096)

    assert _grey(data)[0, 0] == 0
    assert _grey(data)[0, -1] == 255


def test_high_bit_above_the_lowest_possible_is_followed() -> None:
    data = radiograph_file(
        ramp() << 4, BitsStored=12, HighBit=15, WindowCenter=2048, WindowWidth=4096
    )

    assert (np.diff(_grey(data)[0]) >= 0).all()
    assert _grey(data)[0, -1] == 255


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colour_becomes_luminance(planar: int, dtype: type) -> None:
    top = np.iinfo(dtype).max
    image: np.ndarray = np.zeros((2, 4, 3), dtype)
    image[:, 0], image[:, 1], image[:, 2], image[:, 3] = (
        (top, 0, 0),
        (0, top, 0),
        (0, 0, top),
        (top, top, top),
    )
    stored = image.transpose(2, 0, 1) if planar else image
    data = radiograph_file(
        np.ascontiguousarray(stored),
        Rows=2,
        Columns=4,
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=planar,
    )

    radiograph = read_radiograph(data)

    assert radiograph.pixels.tolist() == [[76, 150, 29, 255]] * 2
    assert "no colour" in radiograph.facts.remarks[0].en


def test_first_of_several_frames_is_read_and_their_number_told() -> None:
    frames = np.concatenate([ramp(), ramp()[:, ::-1]])
    data = radiograph_file(frames, Rows=64, NumberOfFrames=2, WindowCenter=2048, WindowWidth=4096)

    radiograph = read_radiograph(data)

    assert radiograph.facts.frames == 2
    assert (radiograph.rows, radiograph.columns) == (64, 64)
    assert radiograph.pixels[0, 0] == 0


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_encodings_of_the_data_set_agree(syntax: str) -> None:
    dataset = radiograph_dataset(ramp(), PixelPaddingValue=5, WindowCenter=2048, WindowWidth=4096)

    assert (_grey(encode(dataset, syntax)) == _grey(encode(dataset))).all()


def test_data_set_without_preamble_is_read() -> None:
    data = radiograph_file(ramp())

    assert (_grey(data[132:]) == _grey(data)).all()


@pytest.mark.parametrize("side", [16, 64, 224])
def test_no_more_pixels_than_needed(side: int) -> None:
    data = radiograph_file(ramp(rows=2000, columns=1800), WindowCenter=2048, WindowWidth=4096)

    radiograph = read_radiograph(data, target_side_px=side)

    shorter = min(radiograph.pixels.shape)
    assert 2 * side <= shorter <= 3 * side
    assert (radiograph.rows, radiograph.columns) == (2000, 1800)
    full = read_radiograph(data, target_side_px=side, full_resolution=True)
    assert full.pixels.shape == (2000, 1800)
    assert abs(full.pixels.mean() - radiograph.pixels.mean()) < 1.5


def test_padding_is_not_mixed_into_the_image() -> None:
    pixels = ramp(rows=900, columns=900)
    pixels[:, ::2] = 4095
    data = radiograph_file(
        pixels,
        PixelPaddingValue=4095,
        WindowCenter=2048,
        WindowWidth=4096,
        BitsStored=12,
        HighBit=11,
    )

    assert (
        np.abs(
            _grey(data, target_side_px=150)[0]
            - _grey(data, full_resolution=True)[:3].reshape(3, 300, 3).mean(axis=(0, 2))
        ).max()
        <= 1
    )


def _jpeg_file(image: np.ndarray, **options: Any) -> bytes:
    stream = BytesIO()
    Image.fromarray(image).save(stream, **options)
    return stream.getvalue()


def test_jpeg_in_dicom_is_reduced_by_its_decoder() -> None:
    image = (ramp(1000, 1000, 255)).astype(np.uint8)
    dataset = radiograph_dataset(image)
    data = encode(dataset, JPEGBaseline8Bit, [_jpeg_file(image, format="JPEG", quality=95)])

    reduced = read_radiograph(data, target_side_px=100)

    assert reduced.pixels.shape == (250, 250)
    assert np.abs(reduced.pixels[0].astype(int) - np.linspace(0, 255, 250)).max() <= 2


@pytest.mark.parametrize(
    ("rows", "columns", "discarded"), [(961, 1023, 1), (1841, 1955, 3), (1000, 999, 2)]
)
def test_jpeg2000_of_any_size_is_reduced(rows: int, columns: int, discarded: int) -> None:
    image = ramp(rows, columns, 255).astype(np.uint8)
    stream = _jpeg_file(image, format="JPEG2000", irreversible=False, no_jp2=True)
    data = encode(radiograph_dataset(image), JPEG2000Lossless, [stream])
    side = min(rows, columns) // (3 << discarded)

    reduced = read_radiograph(data, target_side_px=side)

    block = 1 << discarded
    assert reduced.pixels.shape == (
        reduced_length(rows, block),
        reduced_length(columns, block),
    )
    full = read_radiograph(data, full_resolution=True)
    assert (full.pixels == image).all()
    # A wedge without noise needs no rounding, and the correction for it is half a unit a level.
    means = image[:, : columns // block * block].reshape(rows, -1, block).mean(axis=(0, 2))
    assert np.abs(reduced.pixels[0, : len(means)] - means)[2:-2].max() <= 0.5 * discarded + 0.5


@pytest.mark.parametrize("irreversible", [False, True])
@pytest.mark.parametrize("discarded", [1, 2, 3])
def test_jpeg2000_reduction_is_no_brighter_than_the_image(
    irreversible: bool, discarded: int
) -> None:
    # Smooth structures with noise, as in a radiograph: roundings of the wavelet must not add up.
    rng = np.random.default_rng(5)
    image = (ramp(512, 512, 150) + 40 + rng.normal(0, 3, (512, 512))).round().astype(np.uint8)
    stream = _jpeg_file(image, format="JPEG2000", irreversible=irreversible, no_jp2=True)
    data = encode(radiograph_dataset(image), JPEG2000Lossless, [stream])

    reduced = _grey(data, target_side_px=512 // (3 << discarded))

    assert reduced.shape == (512 >> discarded, 512 >> discarded)
    assert abs(reduced.mean() - _grey(data, full_resolution=True).mean()) < 0.15


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"Rows": None}, "Rows is absent"),
        ({"Columns": 0}, "Columns is 0; expected a whole number from 1 to 65535"),
        ({"BitsAllocated": 32}, r"Bits Allocated \(0028,0100\) is 32"),
        ({"PhotometricInterpretation": "HSV"}, "none of those that are read"),
        ({"PhotometricInterpretation": "RGB"}, "is 1, but RGB has 3"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "Red Palette Color Lookup Table"),
        ({"Rows": 65}, "holds 8192 bytes, one frame needs 8320"),
        ({"PixelData": None}, r"no Pixel Data \(7FE0,0010\)"),
    ],
)
def test_what_cannot_be_decoded_is_refused_with_the_reason(
    elements: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnreadableImageError, match=message):
        read_radiograph(radiograph_file(ramp(), **elements))


def test_transfer_syntax_that_is_not_read_is_named_with_those_that_are() -> None:
    data = encode(radiograph_dataset(ramp()), MPEG2MPML, [b"\0" * 64])

    with pytest.raises(UnreadableImageError, match="MPEG2 Main Profile") as caught:
        read_radiograph(data)

    assert "JPEG 2000 Image Compression (Lossless Only)" in str(caught.value)


def test_compressed_image_of_other_dimensions_is_refused() -> None:
    image = ramp(32, 48, 255).astype(np.uint8)
    stream = _jpeg_file(image, format="JPEG")
    data = encode(radiograph_dataset(ramp().astype(np.uint8)), JPEGBaseline8Bit, [stream])

    with pytest.raises(UnreadableImageError, match="32 x 48 pixels of 1 components; Rows, Columns"):
        read_radiograph(data)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (ImageLimits(max_bytes=1000), "at most 1000 are read"),
        (ImageLimits(max_pixels=1000), "64 x 64 pixels, at most 1000"),
        (ImageLimits(max_frames=1), r"Number of Frames \(0028,0008\) is 2"),
    ],
)
def test_limits_hold(limits: ImageLimits, message: str) -> None:
    frames = np.concatenate([ramp(), ramp()])

    with pytest.raises(InputTooLargeError, match=message):
        read_radiograph(radiograph_file(frames, Rows=64, NumberOfFrames=2), limits=limits)


def test_deflated_data_set_stops_at_its_limit() -> None:
    data = encode(radiograph_dataset(ramp()), DeflatedExplicitVRLittleEndian)
    bomb = zlib.compress(bytes(1 << 20))[2:-4]
    start = data.index(DeflatedExplicitVRLittleEndian.encode()) + 100

    with pytest.raises(InputTooLargeError, match="inflates to more than 4096 bytes"):
        read_radiograph(data, limits=ImageLimits(max_inflated_bytes=4096))
    with pytest.raises(UnreadableImageError):
        read_radiograph(data[:start] + bomb)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_of_every_mode_is_read(mode: str) -> None:
    image = Image.fromarray(ramp(20, 30, 255).astype(np.uint8)).convert(mode)
    stream = BytesIO()
    image.save(stream, format="PNG")

    radiograph = read_radiograph(stream.getvalue())

    assert radiograph.facts.source_format == "PNG"
    assert (radiograph.rows, radiograph.columns) == (20, 30)
    assert (radiograph.pixels == np.asarray(image.convert("L"))).all()
    assert bool(radiograph.facts.remarks) is (mode in ("P", "RGB", "RGBA"))


def test_transparent_png_lies_on_black() -> None:
    image = np.full((4, 4, 4), 255, np.uint8)
    image[:2, :, 3] = 0

    assert _grey(_jpeg_file(image, format="PNG"))[:, 0].tolist() == [0, 0, 255, 255]


def test_png_of_sixteen_bits_shows_the_range_it_fills() -> None:
    grey = _grey(_jpeg_file(ramp(300, 300, 4095), format="PNG"))

    assert grey[0, 0] == 0
    assert grey[0, -1] == 255
    assert 126 <= grey[0, 150] <= 130


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_followed(image_format: str, orientation: int) -> None:
    upright = np.zeros((32, 48), np.uint8)
    upright[:16, :24] = 255
    # What a camera stores so that this orientation makes it upright (CIPA DC-008, 4.6.4).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = _jpeg_file(np.ascontiguousarray(stored), format=image_format, exif=exif)

    radiograph = read_radiograph(data)

    assert (radiograph.rows, radiograph.columns) == (32, 48)
    assert np.abs(radiograph.pixels.astype(int) - upright).max() <= 8


@pytest.mark.parametrize("target", [0, -1])
def test_impossible_target_is_a_mistake_of_the_caller(target: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        read_radiograph(radiograph_file(ramp()), target_side_px=target)
