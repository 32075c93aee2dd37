"""Look through a whole data set, and tell everything that is found, not only the first thing."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.acquisition import FACTS, measure
from datasets.checks import Check, Problem, Seen, Severity
from datasets.checks.copies import find_copies
from datasets.checks.shortcuts import find_shortcuts
from datasets.duplicates import difference_hashes
from datasets.manifest import Manifest, Sample
from datasets.pictures import SUFFIXES, file_facts, read_colour
from datasets.reading import manifest_of, read_all
from models.errors import DataError
from models.findings import Text

SIDE_PX = 224
"""Side of the pictures that acquisition facts are measured on."""
THUMBNAIL_PX = 96
_EXAMPLES = 8
_COLOURS = ("red", "green", "blue")

Progress = Callable[[int, int], None]


def check(name: str, data: Path, progress: Progress = lambda _done, _total: None) -> Check:
    """Check the data set `name`; see `datasets.reading.read` for the arguments.

    Raises:
        DataError: the description or the source itself cannot be read.
    """
    description, root, samples, wrong = read_all(name, data)
    problems = _rows(wrong)
    seen, unreadable = look(name, root, samples, bool(description.features), progress)
    problems += unreadable
    if description.source["kind"] == "folder_csv":
        problems += _unlisted(root, samples, wrong)
    problems += find_copies(seen)
    shortcuts, suspects = find_shortcuts(seen, description.labels)
    problems += suspects
    digest = None
    try:
        digest = manifest_of(description, root, tuple(samples)).digest if not wrong else None
    except DataError as error:
        problems.append(_refused(error))
    stated = description.sheet.get("digest")
    if digest is not None and stated not in (None, digest):
        problems.append(_another(digest, stated))
    in_order = sorted(problems, key=lambda problem: problem.severity is not Severity.ERROR)
    return Check(seen, tuple(in_order), digest, shortcuts)


def check_manifest(
    manifest: Manifest, progress: Progress = lambda _done, _total: None
) -> tuple[Seen, list[Problem]]:
    """Look through a manifest that was read already: unreadable files, copies, suspects."""
    seen, problems = look(
        manifest.source, manifest.root, manifest.samples, manifest.is_table, progress
    )
    return seen, problems + find_copies(seen) + find_shortcuts(seen, manifest.labels)[1]


def look(
    name: str, root: Path, samples: Sequence[Sample], is_table: bool, progress: Progress
) -> tuple[Seen, list[Problem]]:
    """Read every image once and measure it."""
    if is_table:
        everything = np.ones(len(samples), dtype=np.bool_)
        return Seen(name, root, tuple(samples), None, None, everything), []
    shape = (len(samples), THUMBNAIL_PX, THUMBNAIL_PX, 3)
    thumbnails, readable = np.zeros(shape, np.uint8), np.ones(len(samples), np.bool_)
    hashes = np.zeros((len(samples), 256), np.bool_)
    facts: list[dict[str, float]] = []
    unreadable = []
    for at, sample in enumerate(samples):
        path = root / (sample.path or sample.sample_id)
        try:
            picture = read_colour(path, sample.sample_id)
        except DataError:
            readable[at] = False
            unreadable.append(sample.sample_id)
            facts.append({})
        else:
            shown = Image.fromarray(picture)
            thumbnails[at] = np.asarray(shown.resize((THUMBNAIL_PX, THUMBNAIL_PX)))
            hashes[at] = difference_hashes(np.asarray(shown.convert("L"))[None])[0]
            facts.append({**_measured(shown), **file_facts(path)})
        progress(at + 1, len(samples))
    table = _table(facts)
    seen = Seen(name, root, tuple(samples), thumbnails, hashes, readable, table)
    return seen, _unreadable(unreadable)


def _measured(picture: Image.Image) -> dict[str, float]:
    grey = np.asarray(picture.convert("L").resize((SIDE_PX, SIDE_PX)))
    facts = dict(zip(FACTS, measure(grey).tolist(), strict=True))
    colours = np.asarray(picture, dtype=np.float64)
    if np.ptp(colours, axis=2).max() > 0:
        levels = colours.mean(axis=(0, 1))
        facts |= {f"mean_{name}": float(v) for name, v in zip(_COLOURS, levels, strict=True)}
    return facts


def _table(facts: list[dict[str, float]]) -> dict[str, NDArray[np.float64]]:
    names = dict.fromkeys(name for each in facts for name in each)
    return {name: np.array([each.get(name, np.nan) for each in facts]) for name in names}


def _unlisted(root: Path, samples: Sequence[Sample], wrong: Sequence[DataError]) -> list[Problem]:
    """Return the pictures below `root` that no sample is of; not told where rows were wrong."""
    if wrong:
        return []
    listed = {sample.path or sample.sample_id for sample in samples}
    found = sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    left = [name for name in found if name not in listed]
    if not left:
        return []
    told = Text(
        "Pictures in the folder that the index does not name: they are not trained on. Add their "
        "rows, or move them away.",
        "文件夹中未列入索引的图像：不会用于训练。请补充对应行，或将其移走。",
    )
    return [Problem("unlisted", Severity.WARNING, told, len(left), tuple(left[:_EXAMPLES]))]


def _rows(wrong: list[DataError]) -> list[Problem]:
    if not wrong:
        return []
    told = Text(
        "Rows that do not fit the description, or whose file is missing. Mend each, or drop it.",
        "不符合描述或缺少文件的行。请逐一修正或删除。",
    )
    examples = tuple(str(error) for error in wrong[:_EXAMPLES])
    return [Problem("rows", Severity.ERROR, told, len(wrong), examples)]


def _unreadable(names: list[str]) -> list[Problem]:
    if not names:
        return []
    told = Text(
        "Files that cannot be decoded as an image. Restore them or drop their rows.",
        "无法解码为图像的文件。请恢复文件或删除相应行。",
    )
    return [Problem("unreadable", Severity.ERROR, told, len(names), tuple(names[:_EXAMPLES]))]


def _refused(error: DataError) -> Problem:
    told = Text(
        "These samples make no manifest: training would stop here.",
        "这些样本无法构成清单：训练将在此停止。",
    )
    return Problem("manifest", Severity.ERROR, told, 1, (str(error),))


def _another(found: str, stated: str) -> Problem:
    told = Text(
        "The data are not those that the description states; a model made from them is another "
        "one. Obtain them again, or raise the version and state the new digest.",
        "数据与描述中声明的不一致，由其得到的将是另一个模型。请重新获取数据，或提升版本并声明新摘要。",
    )
    return Problem("digest", Severity.WARNING, told, 1, (f"found {found}", f"stated {stated}"))
