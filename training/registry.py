"""The model registry: MLflow's versions and aliases, and where each one's package lies.

An alias is resolved to a version once; everything after that speaks of the version. A package is
verified as a whole, against the digest that was registered, before anything reads it.
"""

import getpass
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing leaves the machine
# Its bars for files that lie on this machine would stand between a person and the verdict.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from models import store
from models.errors import PackageNotFoundError, PackageTamperedError, ZhuzhenError
from models.package import ModelPackage, verify
from models.risk.recalibration import is_recalibration, read_recalibration
from models.risk.registry import SCORES
from models.store import CHALLENGER, CHAMPION

_RELEASE = "zhuzhen.release."
"""Prefix of the tags that hold the history, one each: a tag has an end, a history has none."""
_DIGEST, _VERSION = "package_digest", "package_version"
PACKAGE = "package"
"""Where a run keeps its package among its artifacts."""
LOCKED_SET = "locked-set"
"""Where a run keeps what its package said of each sample of the locked set."""


class ReleaseError(ZhuzhenError):
    """A version cannot be promoted, pulled or rolled back."""


@dataclass(frozen=True, slots=True)
class Registered:
    """One version of a model in the registry."""

    name: str
    number: int
    """MLflow's number of the version."""
    version: str
    """The package's own version."""
    digest: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Release:
    """One decision on what the champion is."""

    action: str
    """`promote`, `refuse` (the gate did not let it pass; nothing changed) or `rollback`."""
    number: int
    version: str
    """That became champion, or did not."""
    before: int | None
    """What was champion."""
    by: str
    at: str
    """UTC, ISO 8601."""
    gate: str
    """What the gate said, or why there was none."""


def open_client(home: Path) -> MlflowClient:
    """Open the registry under `home`: MLflow on SQLite, made at its first use."""
    folder = home / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    # Migrations of the database are told on the log, line by line, at its first use.
    logging.getLogger("alembic").setLevel(logging.ERROR)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    return MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


class Registry:
    """The versions of all models under one `ZHUZHEN_HOME`."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._client = open_client(home)

    def versions(self, name: str) -> list[Registered]:
        """Return all versions of the model `name`, oldest first."""
        found = self._client.search_model_versions(f"name = '{name}'")
        return sorted((_registered(each) for each in found), key=lambda each: each.number)

    def resolve(self, name: str, wanted: str) -> Registered:
        """Return the version that `wanted` means: an alias, or a package's version.

        Raises:
            PackageNotFoundError: naming what there is.
        """
        known = self.versions(name)
        if wanted in (CHAMPION, CHALLENGER):
            found = self._alias(name, wanted)
            if found is not None:
                return found
        for each in reversed(known):
            if each.version == wanted:
                return each
        told = ", ".join(dict.fromkeys(each.version for each in known)) or "none"
        raise PackageNotFoundError(
            f"The registry has no {wanted} of {name}; registered versions: {told}. Train one with "
            "`zhuzhen train`, or name another."
        )

    def champion(self, name: str) -> Registered | None:
        """Return the champion of the model `name`, or None where none was promoted."""
        return self._alias(name, CHAMPION)

    @contextmanager
    def package(self, registered: Registered) -> Iterator[Path]:
        """Fetch the package of `registered`, verify it whole, and remove the copy afterwards.

        Yields:
            Its folder.

        Raises:
            PackageTamperedError: it is not what was registered.
        """
        folder = self._home / "models" / f".incoming-{registered.name}-{registered.number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield self._fetched(registered, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def artifact(self, registered: Registered, path: str, folder: Path) -> Path | None:
        """Fetch the artifact `path` of the run that made `registered`; None if it has none."""
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return Path(self._client.download_artifacts(registered.run_id, path, str(folder)))
        except (MlflowException, OSError):
            return None

    def pull(self, registered: Registered, alias: str) -> Path:
        """Bring `registered` into the local store and let `alias` mean it; return its folder.

        One there that was changed since is put aside and takes its place again, as registered.

        Raises:
            PackageTamperedError: it is not what was registered.
            ReleaseError: the store has another package of the same version.
        """
        meant = store.Stated(registered.version, registered.digest)
        folder = _intact(registered)
        if folder is None:
            folder = store.home() / "models" / registered.name / registered.version
            with self.package(registered) as package:
                folder.parent.mkdir(parents=True, exist_ok=True)
                _put_aside(folder)
                package.rename(folder)
        store.set_alias(registered.name, alias, meant)
        return folder

    def require_place(self, registered: Registered) -> None:
        """Make sure that the local store can hold `registered`, before anything is decided.

        Raises:
            PackageTamperedError: it has another package of that version, such as a released one.
        """
        _intact(registered)

    def promote(self, registered: Registered, gate: str, by: str | None = None) -> Release:
        """Make `registered` the champion; what was champion can be rolled back to."""
        before = self.champion(registered.name)
        if before is not None and before.number == registered.number:
            raise ReleaseError(
                f"{registered.name} {registered.version} is the champion already; there is nothing "
                f"to promote. `zhuzhen models pull {registered.name}` brings it into this store."
            )
        release = _release("promote", registered, before, by, gate)
        return self._decide(registered, release)

    def refuse(self, registered: Registered, gate: str, by: str | None = None) -> Release:
        """Record that the gate did not let `registered` become champion."""
        release = _release("refuse", registered, self.champion(registered.name), by, gate)
        return self._record(registered.name, release)

    def rollback(self, name: str, by: str | None = None) -> tuple[Registered, Release]:
        """Make champion again what was champion before, if it is still what it was.

        Raises:
            ReleaseError: nothing was champion before.
            PackageTamperedError: its package is not what was registered; nothing was changed.
        """
        now = self.champion(name)
        back = None if now is None else self._before(now)
        if now is None or back is None:
            raise ReleaseError(
                f"No version of {name} was champion before this one; there is nothing to roll back "
                "to. Promote another version with `zhuzhen models promote`."
            )
        self._require_intact(back)
        told = f"rolled back from {now.version}"
        return back, self._decide(back, _release("rollback", back, now, by, told))

    def history(self, name: str) -> list[Release]:
        """Return every decision on the champion of `name`, oldest first."""
        try:
            tags = self._client.get_registered_model(name).tags
        except MlflowException:
            return []
        return [Release(**json.loads(tags[key])) for key in sorted(tags) if _is_release(key)]

    def _before(self, now: Registered) -> Registered | None:
        """Return the version under the champion `now` on the stack of promotions."""
        stack: list[int] = []
        for release in self.history(now.name):
            if release.action == "rollback":
                _down_to(release.number, stack)
            elif release.action == "promote":
                if not stack and release.before is not None:
                    stack.append(release.before)
                stack.append(release.number)
        # Whoever was killed between recording a decision and carrying it out left the champion
        # elsewhere than on top, or not on the stack at all.
        if now.number in stack:
            _down_to(now.number, stack)
            while stack and stack[-1] == now.number:
                stack.pop()
        known = {each.number: each for each in self.versions(now.name)}
        return known[stack[-1]] if stack else None

    def _decide(self, registered: Registered, release: Release) -> Release:
        """Record `release` and let `registered` be the champion; killed between, do it again."""
        self._record(registered.name, release)
        self._client.set_registered_model_alias(registered.name, CHAMPION, str(registered.number))
        return release

    def _record(self, name: str, release: Release) -> Release:
        key = f"{_RELEASE}{len(self.history(name)):06}"
        self._client.set_registered_model_tag(name, key, json.dumps(vars_of(release)))
        return release

    def _require_intact(self, registered: Registered) -> None:
        """Require the package of `registered` whole, in the local store or in the registry."""
        if _intact(registered) is None:
            with self.package(registered):
                pass

    def _alias(self, name: str, alias: str) -> Registered | None:
        try:
            return _registered(self._client.get_model_version_by_alias(name, alias))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def _fetched(self, registered: Registered, folder: Path) -> Path:
        root = self.artifact(registered, PACKAGE, folder)
        if root is None:
            raise PackageTamperedError(
                f"{registered.name} {registered.version}: the registry's run has no package any "
                "more; train it again."
            )
        _require_same(root, registered)
        return root


def _down_to(number: int, stack: list[int]) -> None:
    """Take from `stack` what lies on the version `number`."""
    while stack and stack[-1] != number:
        stack.pop()


def _is_release(tag: str) -> bool:
    return tag.startswith(_RELEASE)


def vars_of(release: Release) -> dict[str, Any]:
    """Return `release` as a mapping for JSON."""
    return {name: getattr(release, name) for name in Release.__dataclass_fields__}


def _intact(registered: Registered) -> Path | None:
    """Return where the store has `registered`; None where it has none, or one that was changed.

    Raises:
        PackageTamperedError: it has another package of that version, or a released one was changed.
    """
    folder = store.versions().get(registered.name, {}).get(registered.version)
    if folder is None:
        return None
    if not folder.is_relative_to(store.RELEASED):
        try:
            verify(folder)
        except PackageTamperedError:
            return None
    _require_same(folder, registered)
    return folder


def _put_aside(folder: Path) -> None:
    """Move a package that was changed away, for whoever asks what happened to it."""
    if folder.exists():
        aside = folder.with_name(f".{folder.name}.changed")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)


def _require_same(root: Path, registered: Registered) -> None:
    """Require that what lies in `root` can be read and is what was registered."""
    found = (
        read_recalibration(root, SCORES).digest
        if is_recalibration(root)
        else ModelPackage.load(root).reference_to.digest
    )
    if found != registered.digest:
        raise PackageTamperedError(
            f"{registered.name} {registered.version} has the digest {found}, registered was "
            f"{registered.digest}: it is not the package that was trained, and a version is one "
            "package. It is not used; train it again under a new version (a file with "
            f"`extends: {registered.name}` and `version: ...` is enough)."
        )


def _registered(version: ModelVersion) -> Registered:
    tags = version.tags
    return Registered(
        version.name,
        int(version.version),
        tags.get(_VERSION, ""),
        tags.get(_DIGEST, ""),
        str(version.run_id),
    )


def _release(
    action: str, now: Registered, before: Registered | None, by: str | None, gate: str
) -> Release:
    return Release(
        action,
        now.number,
        now.version,
        None if before is None else before.number,
        by or getpass.getuser(),
        datetime.now(UTC).isoformat(timespec="seconds"),
        gate,
    )
