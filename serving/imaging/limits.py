"""How much a sender may give, checked before anything is decoded."""

from dataclasses import dataclass

from models.errors import InputTooLargeError


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Upper bounds on one input. Every one of them is checked before memory is spent on it."""

    max_bytes: int = 128 * 2**20
    """Bytes of the input as sent. An uncompressed 36-megapixel radiograph has 72 MB."""
    max_inflated_bytes: int = 128 * 2**20
    """Bytes of a data set in the transfer syntax Deflated Explicit VR Little Endian (PS3.5
    A.5) once inflated; inflation stops at this bound."""
    max_pixels: int = 40_000_000
    """Rows times columns of one frame. The largest radiographs on the market (mammography,
    full-leg films) have about 30 million. Decoding takes up to 12 bytes a pixel."""
    max_frames: int = 2_000
    """Number of Frames (0028,0008). Only the first frame is ever decoded."""
    max_scans: int = 100
    """Scans of one JPEG image. Progressive images have about ten; thousands of empty ones on
    a large image keep a decoder busy for hours."""
    max_tiles: int = 4_096
    """Tiles of one JPEG 2000 image. A single tile is the rule; each costs memory."""

    def check_bytes(self, size: int) -> None:
        """Raises `InputTooLargeError` if an input of `size` bytes is over the limit."""
        if size > self.max_bytes:
            raise InputTooLargeError(
                f"The input has {size} bytes, at most {self.max_bytes} are read. "
                "Send one radiograph at a time, compressed without loss if need be.",
                f"输入为 {size} 字节，超出 {self.max_bytes} 字节的上限；请每次只发送一幅影像，"
                "必要时使用无损压缩",
            )

    def check_dimensions(self, rows: int, columns: int, where: str) -> None:
        """Raises `InputTooLargeError` if the image that `where` declares has too many pixels."""
        if rows * columns > self.max_pixels:
            raise InputTooLargeError(
                f"{where} declares {rows} x {columns} pixels, at most {self.max_pixels} in all "
                "are decoded. Send the image at a lower resolution, or correct the header.",
                f"图像声明为 {rows} × {columns} 像素，超出共 {self.max_pixels} 像素的解码上限；"
                "请以较低分辨率发送，或更正文件头",
            )

    def check_frames(self, frames: int) -> None:
        """Raises `InputTooLargeError` if there are too many frames."""
        if frames > self.max_frames:
            raise InputTooLargeError(
                f"Number of Frames (0028,0008) is {frames}, at most {self.max_frames} are "
                "accepted. Send a single radiograph.",
                f"帧数 (0028,0008) 为 {frames}，上限为 {self.max_frames}；请发送单幅影像",
            )


DEFAULT_LIMITS = ImageLimits()
"""Limits used where the caller gives none."""
