"""A version that was just trained, held against the champion before anybody decides on it.

Both on the champion's locked set, patients resampled in pairs (`training.comparison`). What is
found stands in the package, for who reads its card, and in the run.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models import store
from models.package import EVALUATION
from training.comparison import REPEATS, Difference, differences, paired, right_alone
from training.comparison_plot import draw_comparison
from training.locked_set import FILE, LockedSet, read_locked_set
from training.loop import Watch
from training.registry import LOCKED_SET, Registered, Registry, ReleaseError
from training.release_gate import GateConfig
from training.replacing import is_used
from training.tracking import Tracker

FOLDER = "against-champion"
"""Where a run keeps the comparison among its artifacts."""
PICTURE = "against-champion.png"
"""The picture of it in the package."""
KEY = "against_champion"
"""Where `evaluation.json` has it."""


@dataclass(frozen=True, slots=True)
class AgainstChampion:
    """What came of holding a version against the champion."""

    facts: Mapping[str, Any]
    """For `evaluation.json`: `champion`, None where there is none; and with one either what was
    found on how many samples, or under `not_compared` why nothing was."""
    told: str
    """In one line; empty without a champion."""
    figures: tuple[Path, ...] = ()
    """The picture, where there is one."""


@dataclass(frozen=True, slots=True)
class Made:
    """A version that is about to be packaged."""

    name: str
    version: str
    root: Path
    """Where its package goes."""
    home: Path
    """`ZHUZHEN_HOME`, whose registry knows the champion."""


def locked_set_of_version(registry: Registry, registered: Registered, folder: Path) -> LockedSet:
    """Return the locked set of a registered version; what is fetched goes into `folder`.

    Raises:
        ReleaseError: it has none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    at = registry.artifact(registered, LOCKED_SET, folder / str(registered.number))
    if at is None or not (at / FILE).is_file():
        raise ReleaseError(
            f"{registered.name} {registered.version} has no locked set in the registry, so it "
            "cannot be held against another version; train it again."
        )
    return read_locked_set(at / FILE)


def tell_without_champion(made: Made, watch: Watch) -> None:
    """Tell, before hours are spent, that a model which is released will be held against nothing.

    The registry of a new installation does not know the released packages.
    """
    released = store.versions().get(made.name, {})
    others = [each for each, at in released.items() if at.is_relative_to(store.RELEASED)]
    if not others or made.version in others or Registry(made.home).champion(made.name) is not None:
        return
    newest = max(others, key=store.order)
    watch.stage(
        f"the registry has no champion of {made.name}, so the card will say that this version was "
        f"held against none. To hold it against a released one: `zhuzhen models register "
        f"{made.name}@{newest}`, `zhuzhen models promote {made.name}`, and train again"
    )


def hold_against_champion(made: Made, kept: LockedSet, folder: Path) -> AgainstChampion:
    """Hold what was made against the champion.

    A package that is used already, and made again of the same, is held against the version that it
    was held against at first: else it would be another one as soon as it is promoted.

    Args:
        made: the version.
        kept: what it said of its locked set.
        folder: of the run; the files go below it.
    """
    registry = Registry(made.home)
    champion = _to_be_held_against(registry, made)
    if champion is None:
        return AgainstChampion({"champion": None}, "")
    named = {"champion": {"version": champion.version, "digest": champion.digest}}
    try:
        with tempfile.TemporaryDirectory() as fetched:
            before = locked_set_of_version(registry, champion, Path(fetched))
        pair = paired(before, kept)
    except ReleaseError as error:
        told = f"not held against the champion {champion.version}: {error}"
        return AgainstChampion({**named, "not_compared": str(error)}, told)
    found, accepted = differences(*pair), GateConfig().accepted_losses
    picture = folder / "figures" / PICTURE
    names = f"{made.name} {champion.version}", f"{made.name} {made.version}"
    draw_comparison(names, pair, found, accepted, picture)
    facts = {
        **named,
        "samples": len(pair[0]),
        "groups": len(set(pair[0].groups.tolist())),
        "draws": REPEATS,
        "differences": [asdict(each) for each in found],
        "accepted_losses": accepted,
        "right_alone": right_alone(*pair),
    }
    told = f"against the champion {champion.version}: " + "; ".join(map(_told, found))
    return AgainstChampion(facts, told, (picture,))


def record_against_champion(
    found: AgainstChampion, folder: Path, tracker: Tracker, watch: Watch
) -> None:
    """Keep in the run what was found, below its `folder`, and tell it."""
    if not found.told:
        return
    shown = folder / FOLDER
    shown.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dict(found.facts), indent=2) + "\n"
    (shown / "comparison.json").write_text(text, encoding="utf-8")
    for picture in found.figures:
        (shown / "comparison.png").write_bytes(picture.read_bytes())
    tracker.files(shown, FOLDER)
    watch.stage(found.told)


def _to_be_held_against(registry: Registry, made: Made) -> Registered | None:
    if not is_used(made.name, made.version, made.home):
        return registry.champion(made.name)
    try:
        evaluation = json.loads((made.root / EVALUATION).read_text(encoding="utf-8"))
        digest = evaluation[KEY]["champion"]["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    known = (each for each in registry.versions(made.name) if each.digest == digest)
    return next(known, None)


def _told(each: Difference) -> str:
    return (
        f"{each.label} {each.figure.replace('_', ' ')} {each.difference:+.4f} "
        f"({each.low:+.4f} to {each.high:+.4f})"
    )
