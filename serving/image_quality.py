"""What about an image's quality should make its reader careful, and what makes it useless."""

import numpy as np
from numpy.typing import NDArray

from models.findings import ImageQuality, Reason, Text
from models.preprocessing import level_counts
from models.radiograph import Radiograph
from models.tile import Tile

COLOURLESS_BELOW = 2.0
"""Mean distance of the strongest from the weakest colour, in levels, under which a tile shows no
stain. Of 1,743 tiles drawn from both histology sets the palest has 3.9; a grey image has 0."""
BLANK_BELOW = 0.1
"""Dynamic range under which an image shows nothing to judge: a uniform frame with noise has 0 to
0.05. The remarks below begin just outside what 800 radiographs drawn from the chest training set
(Kermany et al. 2018) show: dynamic range 0.47 to 0.99, clipped 0 to 0.21, sharpness 2.6 to 8.9."""
_FLAT_BELOW = 0.45
_CLIPPED_ABOVE = 0.25
_BLURRED_BELOW = 2.5
_SAMPLE_SIDE_PX = 256


def measure_quality(radiograph: Radiograph | Tile, grid: NDArray[np.uint8]) -> ImageQuality:
    """Return the quality of an image, of which `grid` is the square the network sees."""
    levels = np.cumsum(level_counts(_sample(radiograph.grey)))
    low, high = (int(np.searchsorted(levels, levels[-1] * share)) for share in (0.01, 0.99))
    black_and_white = levels[0] + levels[-1] - levels[-2]
    measured = {
        "dynamic_range": (high - low) / 255,
        "clipped_fraction": float(black_and_white / levels[-1]),
        "sharpness": _sharpness(grid),
    }
    # What is usual was measured on radiographs; a tile may be small, pale or without detail.
    is_tile = isinstance(radiograph, Tile)
    remarks = () if is_tile else _remarks(radiograph, grid.shape[0], **measured)
    return ImageQuality(radiograph.rows, radiograph.columns, **measured, remarks=remarks)


def colourless(pixels: NDArray[np.uint8]) -> Reason | None:
    """Return why a tile of these colours, shape (rows, columns, 3), is not stained, or None."""
    spread = float((pixels.max(axis=2) - pixels.min(axis=2)).mean())
    if spread >= COLOURLESS_BELOW:
        return None
    found, least = f"{spread:.1f}", f"{COLOURLESS_BELOW:g}"
    message = Text(
        f"the image has no colours of a stain: red, green and blue differ by {found} of 255 levels "
        f"on average, at least {least} are needed; send a tile of a stained slide in colour",
        f"图像没有染色的颜色：红、绿、蓝平均相差 {found} 级（满值 255），至少应为 {least} 级；"
        "请发送染色切片的彩色图块",
    )
    return Reason("colour", found, f"at least {least}", message)


def blank(quality: ImageQuality) -> Reason | None:
    """Return why an image of this quality cannot be judged at all, or None."""
    if quality.dynamic_range >= BLANK_BELOW:
        return None
    found, least = quality.dynamic_range, BLANK_BELOW
    message = Text(
        f"the image is nearly uniform: its greys span {found:.0%} of the way from black to white, "
        f"at least {least:.0%} is needed; check the exposure and the display values (window), then "
        "send it again",
        f"图像几乎没有灰度差异：灰度只占黑白全程的 {found:.0%}，至少应为 {least:.0%}；"
        "请检查曝光与窗宽窗位后重新发送",
    )
    return Reason("dynamic_range", f"{found:.2f}", f"at least {least:g}", message)


def _sharpness(grid: NDArray[np.uint8]) -> float:
    left, right = grid[:, :-1], grid[:, 1:]
    # The distance of two bytes, in a byte.
    apart = np.maximum(left, right) - np.minimum(left, right)
    return int(apart.sum(dtype=np.uint64)) / apart.size


def _sample(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an even sample of `pixels`."""
    step = max(1, min(pixels.shape) // _SAMPLE_SIDE_PX)
    return pixels[::step, ::step]


def _remarks(
    radiograph: Radiograph | Tile,
    side_px: int,
    *,
    dynamic_range: float,
    clipped_fraction: float,
    sharpness: float,
) -> tuple[Text, ...]:
    remarks = []
    if min(radiograph.rows, radiograph.columns) < side_px:
        remarks.append(
            Text(
                f"the image has {radiograph.rows} x {radiograph.columns} pixels, fewer than the "
                f"{side_px} x {side_px} that the network looks at",
                f"图像为 {radiograph.rows} × {radiograph.columns} 像素，"
                f"少于网络所用的 {side_px} × {side_px}",
            )
        )
    if dynamic_range < _FLAT_BELOW:
        remarks.append(
            Text(
                f"low contrast: the greys span {dynamic_range:.0%} of the way from black to white",
                f"对比度低：灰度只占黑白全程的 {dynamic_range:.0%}",
            )
        )
    if clipped_fraction > _CLIPPED_ABOVE:
        remarks.append(
            Text(
                f"{clipped_fraction:.0%} of the pixels are pure black or pure white",
                f"{clipped_fraction:.0%} 的像素为纯黑或纯白",
            )
        )
    if sharpness < _BLURRED_BELOW:
        remarks.append(
            Text(
                f"little detail: neighbouring pixels differ by {sharpness:.1f} of 255 grey levels",
                f"细节少：相邻像素平均相差 {sharpness:.1f} 个灰阶（满值 255）",
            )
        )
    return tuple(remarks)
