"""Fit `models.chest_template`, and measure how often it is right.

`python -m training.chest_template` writes the template and `docs/chest-presentation.md`; it takes
about a minute and needs `chest_xray_kermany`. What is measured on that set is measured by five
templates, each on the fifth of the patients that it was not fitted to.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.data import get_testdata_file
from scipy import ndimage, optimize, special
from scipy.stats import binomtest
from sklearn.model_selection import GroupKFold

from datasets.command import data_folder
from datasets.manifest import Manifest
from datasets.pictures import read_grey
from datasets.reading import read
from models.chest_template import FILE, SIDE_PX, ChestTemplate, small, ways_back
from models.preprocessing import resize
from training.perturbations import ROBUSTNESS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "chest-presentation.md"
SOURCE, FULL_SIZE = "chest_xray_kermany", "chest_xray_fullres"
ADULT = "RG1_UNCR.dcm"
MARGIN = 2.0
"""Log odds. At 0, 31 of 10,000 rightly presented radiographs would be refused and 99.7 % of those
that lie on their heads found; at 4, 2 of 10,000 and 94.3 %."""
_GRID_PX = 224
_FRAMING_PX = 64
"""Side of the images that are framed anew: 16 pixels are too few to be turned."""
_FOLDS = 5
_PENALTY = 1e-3
_COPIES = 3
"""Copies of each image that are framed anew, beside the plain one."""
_PERTURBED = 1000
"""Images that each perturbation is applied to."""

Grey = NDArray[np.uint8]
Grids = NDArray[np.uint8]

PRESENTED: Mapping[str, Callable[[Grey], Grey]] = {
    "grey levels inverted": lambda image: 255 - image,
    "upside down (mirrored)": np.flipud,
    "upside down (turned)": lambda image: np.rot90(image, 2),
    "turned by a quarter to the left": lambda image: np.rot90(image, 1),
    "turned by a quarter to the right": lambda image: np.rot90(image, -1),
    "inverted and upside down": lambda image: 255 - np.flipud(image),
}
"""How a radiograph is presented wrongly."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Of so many images, so many were taken for presented wrongly."""

    wrong: int
    images: int


def fit(images: NDArray[np.float32]) -> ChestTemplate:
    """Fit to rightly presented `images`, shape (n, SIDE_PX, SIDE_PX), as `small` gives them."""
    back = ways_back(images)
    right = back[:, 0].mean(axis=0, dtype=np.float64)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = (back @ weights.astype(np.float32)).astype(np.float64)
        chance = special.softmax(scores, axis=1).astype(np.float32)
        mean = np.einsum("nk,nkd->d", chance, back, optimize=True) / len(back)
        value = (special.logsumexp(scores, axis=1) - scores[:, 0]).mean()
        gradient = mean - right + 2 * _PENALTY * weights
        return float(value + _PENALTY * weights @ weights), gradient

    start = np.zeros(back.shape[-1])
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 150})
    weights = found.x.reshape(SIDE_PX, SIDE_PX).astype(np.float32)
    return ChestTemplate(weights, MARGIN)


def framed_anew(grids: Grids, seed: int) -> NDArray[np.float32]:
    """Return copies of each image, turned, stretched, moved and exposed a little differently.

    As `small` gives them, shape (n, copies, SIDE_PX, SIDE_PX).
    """
    rng = np.random.default_rng(seed)
    reduced = (resize(grid, _FRAMING_PX) for grid in grids)
    return np.stack(
        [np.stack([small(_framed(image, rng)) for _ in range(_COPIES)]) for image in reduced]
    )


def _framed(image: Grey, rng: np.random.Generator) -> Grey:
    angle, stretch = np.deg2rad(rng.uniform(-12, 12)), rng.uniform(0.85, 1.2, 2)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix *= stretch[:, None]
    middle = np.full(2, (_FRAMING_PX - 1) / 2)
    offset = middle - matrix @ middle + rng.uniform(-5, 5, 2)
    # What comes into the frame is what was at its edge, or a black collimator.
    mode = rng.choice(["nearest", "constant"])
    moved = ndimage.affine_transform(image.astype(np.float64), matrix, offset, order=1, mode=mode)
    exposed = 255 * (moved.clip(0, 255) / 255) ** np.exp(rng.uniform(-0.4, 0.4))
    framed: Grey = exposed.astype(np.uint8)[:, :: rng.choice([-1, 1])]
    return framed


def measure(
    grids: Grids, images: NDArray[np.float32], groups: NDArray[np.str_]
) -> dict[str, Counted]:
    """Count, by what was done to it, how many of `grids` are taken for presented wrongly.

    `images` are what a template is fitted to, shape (n, copies, SIDE_PX, SIDE_PX).
    """
    counts: dict[str, Counted] = {}
    for fitted, held in GroupKFold(_FOLDS).split(grids, groups=groups):
        template = fit(images[fitted].reshape(-1, SIDE_PX, SIDE_PX))
        few = held[:: max(1, _FOLDS * len(held) // _PERTURBED)]
        tried: dict[str, tuple[NDArray[np.intp], Callable[[Grey], Grey]]]
        tried = {"as it is": (held, _as_it_is)}
        tried |= {f"as it is, {name}": (few, change) for name, change in ROBUSTNESS.items()}
        tried |= {name: (held, change) for name, change in PRESENTED.items()}
        for name, (chosen, change) in tried.items():
            wrong = sum(_is_wrong(template, change(grids[at])) for at in chosen)
            before = counts.get(name, Counted(0, 0))
            counts[name] = Counted(before.wrong + wrong, before.images + len(chosen))
    return counts


def _as_it_is(image: Grey) -> Grey:
    return image


def _is_wrong(template: ChestTemplate, grid: Grey) -> bool:
    way = template.presented(np.ascontiguousarray(grid))
    return way.inverted or way.turn != "upright"


def read_grids(manifest: Manifest) -> Grids:
    """Return every image of `manifest` as the network sees it."""
    images = (read_grey(manifest.path_of(each), each.sample_id) for each in manifest)
    return np.stack([resize(image, _GRID_PX) for image in images])


def measure_others(template: ChestTemplate, data: Path) -> dict[str, Counted]:
    """Count on radiographs at full size, and on the one of an adult there is."""
    paths = sorted((data / FULL_SIZE).glob("**/*.jpeg"))
    pictures = [np.asarray(Image.open(path).convert("L")) for path in paths]
    adult = get_testdata_file(ADULT, download=False)
    found = {"as it is, full size": pictures}
    if isinstance(adult, str):
        shown = read_grey(Path(adult), ADULT)
        found |= {"adult, as it is": [shown], "adult, grey levels inverted": [255 - shown]}
    return {
        name: Counted(sum(_is_wrong(template, each) for each in images), len(images))
        for name, images in found.items()
    }


_OPENING = """# Which way round a chest radiograph is presented

Made by `python -m training.chest_template`; do not edit.

A radiograph whose grey levels were inverted on its way (MONOCHROME1 taken for MONOCHROME2), or
that lies upside down or on its side, gives a network something it was never shown, and often it
answers all the same: of 50 inverted radiographs the distance of `chest-xray-pneumonia` 1.0.0
refuses 2, of 50 upside down 38. So the gate looks for this itself, before any finding, whatever the
model: a template of 16 x 16 weights (`models/chest_template.py`) tells the eight ways apart in
which a frontal chest radiograph can be presented. One that is presented wrongly is
`out_of_distribution`, with the reason `grey_levels` or `orientation` and what to do, in both
languages. It holds for every model of radiographs whose intended use is the chest alone.

Left and right are not told apart: a mirrored radiograph passes. Lateral views cannot be measured:
no data set here has one; where the header states it, the rules of the intended use refuse it.

Figures: {images:,} frontal radiographs of children (`{source}`, `{digest}`),
each judged by a template that was fitted to four fifths of the patients and not to its own; 95 %
intervals by Wilson. The template that comes with the project is fitted to all.

| radiograph | refused as presented wrongly | share | 95 % interval |
|---|---|---|---|
"""
_CLOSING = """
Rows "as it is" are false alarms, whatever else was done to the image; the others are what is to be
found. Those that are refused wrongly show little of the chest: the belly fills the picture, or both
shoulders are cut off. One radiograph of an adult says little: the template has seen children alone.

**Decision support for professionals; not a cleared medical device.**
"""


def page(counts: Mapping[str, Counted], digest: str) -> str:
    """Return the page in Markdown."""
    head = _OPENING.format(images=counts["as it is"].images, source=SOURCE, digest=digest)
    return head + "".join(_row(name, each) for name, each in counts.items()) + _CLOSING


def _row(name: str, each: Counted) -> str:
    interval = binomtest(each.wrong, each.images).proportion_ci(method="wilson")
    share = f"{each.wrong / each.images:.2%} | {interval.low:.2%} to {interval.high:.2%}"
    return f"| {name} | {each.wrong} of {each.images} | {share} |\n"


def main() -> None:
    """Fit, measure, write."""
    told = partial(print, file=sys.stderr, flush=True)
    data = data_folder(None)
    manifest = read(SOURCE, data)
    grids = read_grids(manifest)
    told(f"{len(grids)} images of {len(set(manifest.groups()))} patients")
    plain = np.stack([small(grid) for grid in grids])[:, np.newaxis]
    images = np.concatenate([plain, framed_anew(grids, seed=0)], axis=1)
    counts = measure(grids, images, manifest.groups())
    template = fit(images.reshape(-1, SIDE_PX, SIDE_PX))
    template.save(FILE)
    counts |= measure_others(template, data)
    PAGE.write_text(page(counts, manifest.digest), encoding="utf-8")
    told(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
