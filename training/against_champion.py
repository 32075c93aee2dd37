"""A version that was just trained, held against the champion before anybody decides on it.

Both on the champion's locked set, patients resampled in pairs (`training.comparison`). It goes into
the run and not into the package, which says what it is whatever else is there.
"""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from models.findings import ModelReference
from training.comparison import Difference, differences, paired
from training.comparison_plot import draw_comparison
from training.locked_set import FILE, LockedSet, read_locked_set
from training.loop import Watch
from training.registry import LOCKED_SET, Registered, Registry, ReleaseError
from training.release_gate import GateConfig
from training.tracking import Tracker

FOLDER = "against-champion"
"""Where a run keeps the comparison among its artifacts."""


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


def tell_against_champion(
    tracker: Tracker,
    home: Path,
    made: ModelReference,
    kept: LockedSet,
    folder: Path,
    watch: Watch,
) -> None:
    """Hold what was made against the champion, keep the comparison in the run, and tell it.

    Args:
        tracker: of the run.
        home: `ZHUZHEN_HOME`, whose registry knows the champion.
        made: the package.
        kept: what it said of its locked set.
        folder: of the run; the files lie there, too.
        watch: is told the differences, or why there are none.
    """
    registry = Registry(home)
    champion = registry.champion(made.name)
    if champion is None or champion.digest == made.digest:
        return
    try:
        with tempfile.TemporaryDirectory() as fetched:
            before = locked_set_of_version(registry, champion, Path(fetched))
        pair = paired(before, kept)
    except ReleaseError as error:
        watch.stage(f"not held against the champion {champion.version}: {error}")
        return
    found = differences(*pair)
    shown = folder / FOLDER
    shown.mkdir(parents=True, exist_ok=True)
    names = f"{made.name} {champion.version}", f"{made.name} {made.version}"
    draw_comparison(names, pair, found, GateConfig().accepted_losses, shown / "comparison.png")
    content = {
        "champion": {"version": champion.version, "digest": champion.digest},
        "samples": len(pair[0]),
        "differences": [asdict(each) for each in found],
    }
    text = json.dumps(content, indent=2) + "\n"
    (shown / "comparison.json").write_text(text, encoding="utf-8")
    tracker.files(shown, FOLDER)
    watch.stage(f"against the champion {champion.version}: " + "; ".join(map(_told, found)))


def _told(each: Difference) -> str:
    return (
        f"{each.label} {each.figure.replace('_', ' ')} {each.difference:+.4f} "
        f"({each.low:+.4f} to {each.high:+.4f})"
    )
