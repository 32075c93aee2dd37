"""Copies: one file or picture twice, under different groups, splits or labels."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from datasets.checks import Problem, Seen, Severity
from datasets.duplicates import near_pairs
from models.findings import Text

_EXAMPLES = 8


def find_copies(seen: Seen) -> list[Problem]:
    """Return what was found of exact and near copies, and of groups in two parts of a split."""
    exact = list(_exact(seen))
    near = [pair for pair in _near(seen) if pair not in set(exact)]
    problems = [
        _problem(seen, "label_conflicts", _conflicts(seen, exact), *_CONFLICT),
        _problem(seen, "near_label_conflicts", _conflicts(seen, near), *_NEAR_CONFLICT),
        _problem(seen, "split_leaks", _across(seen, exact + near), *_LEAK),
        _problem(seen, "shared_by_groups", _groups(seen, exact + near), *_SHARED),
        _problem(seen, "copies_in_a_group", _within(seen, exact), *_WITHIN),
    ]
    blank = _blank(seen, [int(at) for at in np.flatnonzero(_flat(seen))])
    problems += [_divided(seen), _degenerate(seen), blank]
    return [problem for problem in problems if problem is not None]


Pair = tuple[int, int]

_CONFLICT = (
    Severity.ERROR,
    Text(
        "The same content with different labels. Find out which is right and drop the other.",
        "内容相同而标签不同。请查明正确者并删除另一个。",
    ),
)
_NEAR_CONFLICT = (
    Severity.WARNING,
    Text(
        "Pictures that look the same with different labels. Look at each pair.",
        "外观相同而标签不同的图像。请逐对查看。",
    ),
)
_LEAK = (
    Severity.ERROR,
    Text(
        "The same picture or row in two parts of the split: a score on the test part would "
        "flatter.",
        "同一图像或同一行数据出现在划分的两个部分中：测试结果会虚高。",
    ),
)
_SHARED = (
    Severity.WARNING,
    Text(
        "The same picture or row under two groups. A split keeps such groups together; better, "
        "correct the groups.",
        "同一图像或同一行数据属于两个分组。划分时会将其放在一起；更好的做法是更正分组。",
    ),
)
_WITHIN = (
    Severity.WARNING,
    Text(
        "The same file twice in one group: it counts double in every figure.",
        "同一分组内文件重复：在每项指标中被重复计算。",
    ),
)


def _exact(seen: Seen) -> Iterator[Pair]:
    at: dict[str, list[int]] = defaultdict(list)
    for number, sample in enumerate(seen.samples):
        at[sample.sha256].append(number)
    for members in at.values():
        yield from ((members[0], other) for other in members[1:])


def _near(seen: Seen) -> list[Pair]:
    if seen.hashes is None or not len(seen.samples):
        return []
    usable = seen.readable & ~_flat(seen)
    positions = np.flatnonzero(usable)
    return [
        (int(positions[left]), int(positions[right]))
        for left, right in near_pairs(seen.hashes[positions])
    ]


def _flat(seen: Seen) -> NDArray[np.bool_]:
    """Return which pictures show nothing: a hash says nothing of them."""
    if seen.thumbnails is None:
        return np.zeros(len(seen.samples), np.bool_)
    spread = seen.thumbnails.reshape(len(seen.thumbnails), -1).astype(np.float32).std(axis=1)
    return np.asarray((spread < 3) & seen.readable)


def _conflicts(seen: Seen, pairs: list[Pair]) -> list[Pair]:
    return [p for p in pairs if seen.samples[p[0]].present != seen.samples[p[1]].present]


def _across(seen: Seen, pairs: list[Pair]) -> list[Pair]:
    return [p for p in pairs if seen.samples[p[0]].part != seen.samples[p[1]].part]


def _groups(seen: Seen, pairs: list[Pair]) -> list[Pair]:
    return [p for p in pairs if seen.samples[p[0]].group != seen.samples[p[1]].group]


def _within(seen: Seen, pairs: list[Pair]) -> list[Pair]:
    return [p for p in pairs if seen.samples[p[0]].group == seen.samples[p[1]].group]


def _problem(
    seen: Seen, kind: str, pairs: list[Pair], severity: Severity, told: Text
) -> Problem | None:
    if not pairs:
        return None
    if seen.hashes is None and severity is Severity.ERROR:
        # Two people can have equal values and another outcome; two pictures cannot.
        severity = Severity.WARNING
    named = tuple(
        f"{seen.samples[left].sample_id} = {seen.samples[right].sample_id}"
        for left, right in pairs[:_EXAMPLES]
    )
    shown = tuple(pairs[:_EXAMPLES]) if seen.thumbnails is not None else ()
    return Problem(kind, severity, told, len(pairs), named, shown)


def _divided(seen: Seen) -> Problem | None:
    parts: dict[str, set[str]] = defaultdict(set)
    for sample in seen.samples:
        parts[sample.group].add(sample.part)
    divided = sorted(group for group, found in parts.items() if len(found) > 1)
    if not divided:
        return None
    told = Text(
        "Groups that are in two parts of the split, or partly in none: a patient would be on both "
        "sides. Give all samples of a group the same part.",
        "分组出现在划分的两个部分中：同一患者会同时出现在两侧。请将同组样本归入同一部分。",
    )
    return Problem("divided_groups", Severity.ERROR, told, len(divided), tuple(divided[:_EXAMPLES]))


def _degenerate(seen: Seen) -> Problem | None:
    """Return a warning where groups say nothing: one for all, or one for each image."""
    groups = {sample.group for sample in seen.samples}
    if seen.thumbnails is None or not groups or len(groups) not in (1, len(seen.samples)):
        return None
    what = "one group for all images" if len(groups) == 1 else "a group of its own for each image"
    told = Text(
        f"There is {what}: patients cannot be kept together. Find out who is who.",
        "分组没有提供信息（全部同组或每图一组）：无法将同一患者的图像放在一起。请补充患者标识。",
    )
    return Problem("missing_groups", Severity.WARNING, told, len(groups))


def _blank(seen: Seen, flat: list[int]) -> Problem | None:
    if not flat:
        return None
    told = Text(
        "Pictures that show nothing: all but one grey level.", "空白图像：几乎只有一个灰度。"
    )
    names = tuple(seen.samples[at].sample_id for at in flat[:_EXAMPLES])
    return Problem("blank", Severity.WARNING, told, len(flat), names, (tuple(flat[:_EXAMPLES]),))
