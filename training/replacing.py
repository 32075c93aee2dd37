"""A version that was released or is used stays what it is: another package never takes its place.

Answers name a version and its digest, a running service follows aliases, and a rollback goes back
to what was promoted. All of that would be lost with the files.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import store
from models.errors import DataError
from models.package import EVALUATION
from training.loop import Watch
from training.registry import Registry


def require_free(root: Path, home: Path, made_of: Mapping[str, Any], watch: Watch) -> None:
    """Refuse to train a package for `root` that could not take its place there.

    Args:
        root: `<name>/<version>` below the folder that gets the package.
        home: `ZHUZHEN_HOME`.
        made_of: digests of what the package is to be made of, by the names that runs have as tags.
        watch: is told where the package can only be made for comparison.

    Raises:
        DataError: the version is released, or used, and was made of something else.
    """
    name, version = root.parts[-2:]
    released = store.RELEASED / name / version
    if root.exists() and root.resolve() == released.resolve():
        raise DataError(
            f"{name} {version} is released, and released packages do not change. "
            "Raise `version` in the configuration, or name another folder by --out."
        )
    used = is_used(name, version, home)
    for folder, why in ((released, "released"), (home / "models" / name / version, "used")):
        other = _differs(folder, made_of) if folder == released or used else None
        if other is not None:
            raise DataError(
                f"{name} {version} is {why} already and was made of another {other}. Give the new "
                f"one a version of its own: a file with `extends: {name}` and `version: ...` is "
                "enough."
            )
    if released.exists() and root.resolve().is_relative_to((home / "models").resolve()):
        watch.stage(
            f"{name} {version} is released: what is made now can be compared with it, but takes "
            "its place only where it is the same to the byte. Raise `version` for a new one"
        )


def is_used(name: str, version: str, home: Path) -> bool:
    """Return whether a version was promoted once, or is meant by an alias of the local store."""
    if any(stated.version == version for stated in store.aliases(name).values()):
        return True
    promoted = (each for each in Registry(home).history(name) if each.action == "promote")
    return any(each.version == version for each in promoted)


def _differs(folder: Path, made_of: Mapping[str, Any]) -> str | None:
    """Return what of `made_of` the package in `folder` was not made of; None without a package."""
    try:
        provenance = json.loads((folder / EVALUATION).read_text(encoding="utf-8"))["provenance"]
        data = provenance["data"]
        digests = {
            "configuration": (provenance["configuration_digest"], made_of["config_digest"]),
            "manifest of data": (data["manifest_digest"], made_of["manifest_digest"]),
            "split": (data["split_digest"], made_of["split_digest"]),
        }
    except (OSError, ValueError, KeyError):
        return None
    return next((what for what, (old, new) in digests.items() if old != new), None)
