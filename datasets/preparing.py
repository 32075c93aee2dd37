"""From a public download, unpacked, to the folder that the description of the data set expects.

    python -m datasets.preparing NAME DOWNLOAD [--data FOLDER] [--groups FILE]

The files' names say patient, class and place; pictures that are larger are reduced to 224 x 224 px.
At the end it tells whether the manifest is the one that the released models were made from: they
were made from a part of each set, and another library may reduce a picture to other bytes.
"""

import argparse
import csv
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from PIL import Image

from datasets.command import data_folder
from datasets.description import load_description
from datasets.reading import read
from models.errors import DataError, ZhuzhenError

SIDE_PX = 224
_QUALITY = 95
_CHEST = (
    re.compile(r"(?:NORMAL-)?(?:(?P<second>NORMAL2)-)?IM-(?P<study>\d+)-.*"),
    re.compile(r"person(?P<person>\d+)_(?P<subtype>bacteria|virus)_.*"),
)
_PATCH = re.compile(r"(?P<patient>\d+)_idx5_x(?P<x>\d+)_y(?P<y>\d+)_class(?P<label>[01])")

Row = dict[str, str]
Prepare = Callable[[Path, Path, Path | None], Iterator[Row]]
"""From the download, the folder to write and a file of groups, to the rows of the index."""


def chest(download: Path, folder: Path, _: Path | None) -> Iterator[Row]:
    """Reduce the training pictures of ChestXRay2017, and say whose each is by its name."""
    for label in ("NORMAL", "PNEUMONIA"):
        for source in _pictures(download, f"train/{label}"):
            row = {"path": f"train/{label}/{source.stem}.jpeg", "label": label}
            _reduce(source, folder / row["path"])
            yield row | chest_names(source.stem)


def chest_names(stem: str) -> Row:
    """Return `subtype` and `patient_key` by the name of a picture.

    Raises:
        DataError: it says neither.
    """
    normal, ill = (pattern.fullmatch(stem) for pattern in _CHEST)
    if normal is not None:
        which = "N2" if normal["second"] else "N"
        return {"subtype": "normal", "patient_key": f"{which}-IM-{normal['study']}"}
    if ill is not None:
        return {"subtype": ill["subtype"], "patient_key": f"P{ill['person']}"}
    raise _unknown(stem, "IM-NUMBER-... or personNUMBER_bacteria_... or ..._virus_...")


def patches(download: Path, folder: Path, _: Path | None) -> Iterator[Row]:
    """Copy the patches of IDC_regular, and say whose and where each is by its name."""
    for source in _pictures(download, ""):
        said = patch_names(source.stem)
        path = f"patches/{said['patient']}/{source.name}"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / path)
        yield {"path": path, **said}


def patch_names(stem: str) -> Row:
    """Return `patient`, `x`, `y` and `label` by the name of a patch.

    Raises:
        DataError: it does not say them.
    """
    said = _PATCH.fullmatch(stem)
    if said is None:
        raise _unknown(stem, "PATIENT_idx5_xX_yY_classLABEL")
    return dict(said.groupdict())


def lung_tiles(download: Path, folder: Path, groups: Path | None) -> Iterator[Row]:
    """Reduce the lung tiles of LC25000; `groups` says which are of one capture."""
    if groups is None:
        raise DataError(
            "The tiles of one capture are copies of each other: name the published list of groups "
            "by --groups, a CSV file with the columns file and tile_group."
        )
    with groups.open(encoding="utf-8-sig", newline="") as stream:
        group = {row["file"]: row["tile_group"] for row in csv.DictReader(stream)}
    for label in ("lung_aca", "lung_n", "lung_scc"):
        for source in _pictures(download, label):
            if source.name not in group:
                raise DataError(f"{groups.name} has no group for {source.name}; complete it.")
            path = f"{label}/{source.stem}.jpeg"
            _reduce(source, folder / path)
            yield {"path": path, "label": label, "tile_group": group[source.name]}


def people(download: Path, folder: Path, _: Path | None) -> Iterator[Row]:
    """Copy both tables of NHANES I as `shap` distributes them."""
    for end in ("X", "y"):
        found = sorted(download.rglob(f"*_{end}.csv"))
        if len(found) != 1:
            raise DataError(
                f"{download.name}/ has {len(found)} files that end in _{end}.csv; expected one."
            )
        shutil.copyfile(found[0], folder / f"nhanesI_subset_{end}.csv")
    yield from ()


PREPARED: Mapping[str, Prepare] = {
    "breast_histology_idc": patches,
    "chest_xray_kermany": chest,
    "lung_histology_lc25000": lung_tiles,
    "nhanes1": people,
}
"""By the data set's name; `uci_heart_disease` comes with a package and needs none of this."""


def prepare(name: str, download: Path, data: Path, groups: Path | None = None) -> Path:
    """Write the folder of the data set `name` under `data` from an unpacked download; return it.

    Raises:
        DataError: the download is not what is expected, or the folder is there already.
    """
    if name not in PREPARED:
        raise DataError(
            f"{name!r} is not prepared from a download; those that are: {', '.join(PREPARED)}."
        )
    folder = data / name
    if folder.exists():
        raise DataError(f"{name}/ is there already; move it away, or name another folder by --data")
    part = data / f".{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    rows = list(PREPARED[name](download, part, groups))
    if rows:
        with (part / "index.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(load_description(name).source["columns"]))
            writer.writeheader()
            writer.writerows(rows)
    part.rename(folder)
    return folder


def _pictures(download: Path, below: str) -> list[Path]:
    """Return the pictures that lie in a folder whose path ends in `below`, in order."""
    found = [
        path
        for path in sorted(download.rglob("*"))
        if path.suffix.lower() in (".jpeg", ".jpg", ".png")
        and f"/{path.parent.as_posix()}".endswith(f"/{below}" if below else "")
        and "__MACOSX" not in path.parts
    ]
    if not found:
        raise DataError(
            f"{download.name}/ has no pictures in {below or 'it'}; unpack the download there."
        )
    return found


def _reduce(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with Image.open(source) as image:
            if (image.size, image.format) == ((SIDE_PX, SIDE_PX), "JPEG"):
                shutil.copyfile(source, target)
                return
            colours = image if image.mode in ("L", "RGB") else image.convert("L")
            colours.resize((SIDE_PX, SIDE_PX)).save(target, "JPEG", quality=_QUALITY)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{source.name} cannot be decoded as an image; download it anew."
        ) from error


def _unknown(stem: str, expected: str) -> DataError:
    return DataError(
        f"{stem} does not say whose it is by its name; expected {expected}. Move the file away."
    )


def main(arguments: list[str] | None = None) -> int:
    """Prepare one data set from the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Prepare a public data set from its download.")
    parser.add_argument("name", help=", ".join(PREPARED))
    parser.add_argument("download", type=Path, help="folder of the unpacked download")
    parser.add_argument("--data", type=Path, help="folder of all data sets; else ZHUZHEN_DATA")
    parser.add_argument("--groups", type=Path, help="of lung tiles: the published list of groups")
    given = parser.parse_args(arguments)
    try:
        data = data_folder(given.data)
        folder = prepare(given.name, given.download, data, given.groups)
        digest, stated = read(given.name, data).digest, load_description(given.name).sheet["digest"]
    except ZhuzhenError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    same = "the one" if digest == stated else f"not the one ({stated})"
    sys.stdout.write(
        f"{folder}: its manifest is {digest}, {same} that the released models were made from.\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
