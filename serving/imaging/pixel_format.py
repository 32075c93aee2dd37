"""How the pixels of a DICOM object are laid out, checked before any is decoded."""

from dataclasses import dataclass

from pydicom.dataset import Dataset

from models.errors import UnreadableImageError
from serving.imaging.dicom_values import text, whole_number
from serving.imaging.limits import ImageLimits

GRAYSCALE = frozenset({"MONOCHROME1", "MONOCHROME2"})
COLOUR_SAMPLES = {
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
}
"""Photometric interpretations whose luminance is read, with their samples per pixel (PS3.3
C.7.6.3.1.2). Those retired from the standard (HSV, ARGB, CMYK, YBR_PARTIAL_*) are refused."""
PALETTE = "PALETTE COLOR"


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """The Image Pixel module (PS3.3 C.7.6.3), consistent and within the limits."""

    rows: int
    columns: int
    frames: int
    samples: int
    """Samples per Pixel: 1 or 3."""
    bits_allocated: int
    """8 or 16."""
    bits_stored: int
    """1 to `bits_allocated`."""
    high_bit: int
    """Bit position of the most significant bit stored, `bits_stored - 1` as a rule."""
    signed: bool
    """Pixel Representation 1: two's complement."""
    photometric: str
    planar: bool
    """Planar Configuration 1: one colour plane after the other."""

    @property
    def is_colour(self) -> bool:
        """Three samples a pixel."""
        return self.samples == 3

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        if self.photometric == "YBR_FULL_422":
            # Two pixels share their chrominance: Y Y Cb Cr (PS3.3 C.7.6.3.1.2).
            return self.rows * self.columns * 2
        return self.rows * self.columns * self.samples * (self.bits_allocated // 8)

    def check_compressed(self, rows: int, columns: int, components: int, where: str) -> None:
        """Raises `UnreadableImageError` unless a compressed image is what the header says."""
        if (rows, columns, components) != (self.rows, self.columns, self.samples):
            raise UnreadableImageError(
                f"{where} has {rows} x {columns} pixels of {components} components; Rows, Columns "
                f"and Samples per Pixel say {self.rows} x {self.columns} of {self.samples}. "
                "Export the image again.",
                f"压缩图像为 {rows} × {columns} 像素、{components} 个分量，而文件头声明为 "
                f"{self.rows} × {self.columns}、{self.samples} 个分量；请重新导出图像",
            )


def read_pixel_format(dataset: Dataset, limits: ImageLimits) -> PixelFormat:
    """The layout that the header declares.

    Raises `InputTooLargeError` for absurd dimensions, `UnreadableImageError` where an element
    is missing, contradictory or of a kind that is not read.
    """
    rows = _required(dataset, "Rows", 1, 65_535)
    columns = _required(dataset, "Columns", 1, 65_535)
    limits.check_dimensions(rows, columns, "The header (Rows, Columns)")
    frames = whole_number(dataset, "NumberOfFrames")
    frames = 1 if frames is None else max(1, frames)
    limits.check_frames(frames)
    photometric, samples = _photometric(dataset)
    allocated = _required(dataset, "BitsAllocated", 1, 64)
    if allocated not in (8, 16):
        raise UnreadableImageError(
            f"Bits Allocated (0028,0100) is {allocated}; 8 and 16 are read, as radiographs have.",
            f"分配位数 (0028,0100) 为 {allocated}，仅支持 8 与 16 位；请确认发送的是 X 线影像",
        )
    stored = whole_number(dataset, "BitsStored")
    if stored is None or not 1 <= stored <= allocated:
        stored = allocated
    high = whole_number(dataset, "HighBit")
    if high is None or not stored - 1 <= high < allocated:
        high = stored - 1
    return PixelFormat(
        rows=rows,
        columns=columns,
        frames=frames,
        samples=samples,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        signed=whole_number(dataset, "PixelRepresentation") == 1,
        photometric=photometric,
        planar=whole_number(dataset, "PlanarConfiguration") == 1,
    )


def _required(dataset: Dataset, keyword: str, low: int, high: int) -> int:
    value = whole_number(dataset, keyword)
    if value is None or not low <= value <= high:
        found = "absent or not a number" if value is None else str(value)
        raise UnreadableImageError(
            f"{keyword} is {found}; expected a whole number from {low} to {high}. Without it "
            "the pixels cannot be decoded: export the image again.",
            f"文件头中 {keyword} 缺失或无效，应为 {low} 至 {high} 的整数，"
            "否则无法解码像素；请重新导出图像",
        )
    return value


def _photometric(dataset: Dataset) -> tuple[str, int]:
    """Photometric interpretation and samples per pixel, which must agree."""
    samples = whole_number(dataset, "SamplesPerPixel")
    photometric = (text(dataset, "PhotometricInterpretation") or "").upper()
    if not photometric and samples in (None, 1):
        return "MONOCHROME2", 1
    known = COLOUR_SAMPLES | dict.fromkeys((*GRAYSCALE, PALETTE), 1)
    expected = known.get(photometric)
    if expected is None:
        raise UnreadableImageError(
            "Photometric Interpretation (0028,0004) is none of those that are read: "
            f"{', '.join(sorted(known))}. Export the image as MONOCHROME2.",
            "光度解释 (0028,0004) 不在支持之列；请以 MONOCHROME2 格式导出图像",
        )
    if samples not in (None, expected):
        raise UnreadableImageError(
            f"Samples per Pixel (0028,0002) is {samples}, but {photometric} has {expected}. "
            "Export the image again.",
            f"每像素样本数 (0028,0002) 为 {samples}，而 {photometric} 应为 {expected}；"
            "请重新导出图像",
        )
    return photometric, expected
