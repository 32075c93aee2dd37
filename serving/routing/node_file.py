"""`node.yaml`: one readable file for sources, rules and destinations, checked line by line."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from models import store
from models.errors import ZhuzhenError
from serving.archive import Durability
from serving.dimse.config import Caller, DimseConfig, DimseSettingError, Tls
from serving.routing.rules import Priority, Rule, When

FILE = "node.yaml"
_DEFAULT_QUIET_S = 15.0


class NodeFileError(ZhuzhenError, ValueError):
    """`node.yaml` cannot be used; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Source:
    """A modality, PACS or program that sends."""

    name: str
    institution: str
    ae_title: str | None = None
    """Its calling AE title; None for one that sends by DICOMweb alone."""
    addresses: tuple[str, ...] = ()
    certificate_names: tuple[str, ...] = ()
    """Of which its certificate must have one: who else has a certificate is not this source."""
    quiet_time_s: float = _DEFAULT_QUIET_S
    """Seconds without a new instance after which a study counts as complete."""
    expected_instances: int | None = None
    """Instances of every study of this source, where that is always the same."""
    fetch: Mapping[str, Any] | None = None
    """How studies are fetched from it, as the file has it; `serving.fetching` reads it."""


@dataclass(frozen=True, slots=True)
class Node:
    """Everything that the file says."""

    sources: tuple[Source, ...] = ()
    rules: tuple[Rule, ...] = ()
    destinations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By name, as the file has them; `serving.destinations` knows what they mean."""
    listener: DimseConfig = DimseConfig()
    durability: Durability = Durability.POWER_CUT

    def source_of(self, name: str) -> Source | None:
        """Return the source of that name."""
        return next((source for source in self.sources if source.name == name), None)

    def source_called(self, ae_title: str) -> Source | None:
        """Return the source that calls itself `ae_title`."""
        return next((source for source in self.sources if source.ae_title == ae_title), None)


def read_node(path: Path | None = None) -> Node:
    """Read the file, by default `node.yaml` in `ZHUZHEN_HOME`; where there is none, nobody sends.

    Raises:
        NodeFileError: it is not YAML, or says what cannot be.
    """
    place = path or store.home() / FILE
    if not place.exists():
        return Node()
    return parse_node(place.read_text(encoding="utf-8"), place.name, place.parent)


def parse_node(text: str, name: str = FILE, folder: Path | None = None) -> Node:
    """Return what `text` says; `name` is what errors call the file.

    Raises:
        NodeFileError: as for `read_node`.
    """
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise NodeFileError(f"{name}{line}: not YAML: {problem}.") from None
    if content is None:
        return Node()
    lines = _Lines(name, tree)
    _check(content, lines)
    return _node(content, lines, folder or Path())


class _Lines:
    """Says in which line of the file something stands."""

    def __init__(self, name: str, tree: yaml.Node | None) -> None:
        self._name = name
        self._tree = tree

    def error(self, path: tuple[str | int, ...], told: str) -> NodeFileError:
        """Return an error that points at what lies at `path`."""
        node = self._tree
        line = 1
        for step in path:
            found = _below(node, step)
            if found is None:
                break
            node = found
            line = node.start_mark.line + 1
        return NodeFileError(f"{self._name} line {line}: {told}")


def _below(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        value: yaml.Node = node.value[step]
        return value
    return None


@cache
def _validator() -> jsonschema.Draft202012Validator:
    text = resources.files("serving.routing").joinpath("node.schema.json").read_text("utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def _check(content: Any, lines: _Lines) -> None:
    error = jsonschema.exceptions.best_match(_validator().iter_errors(content))
    if error is not None:
        place = " / ".join(str(step) for step in error.absolute_path) or "the file"
        raise lines.error(tuple(error.absolute_path), f"{place}: {error.message}.")


def _node(content: Mapping[str, Any], lines: _Lines, folder: Path) -> Node:
    sources = tuple(
        Source(
            **{
                **entry,
                "addresses": tuple(entry.get("addresses", ())),
                "certificate_names": tuple(entry.get("certificate_names", ())),
            }
        )
        for entry in content.get("sources", ())
    )
    destinations = {entry["name"]: entry for entry in content.get("destinations", ())}
    rules = tuple(
        _rule(entry, index, lines) for index, entry in enumerate(content.get("rules", ()))
    )
    for kind in ("sources", "rules", "destinations"):
        _require_different(content.get(kind, ()), kind, "name", lines)
    _require_different(content.get("sources", ()), "sources", "ae_title", lines)
    known = {"source": {source.name for source in sources}, "destinations": set(destinations)}
    for index, entry in enumerate(content.get("rules", ())):
        _require_known(entry.get("when", {}), "source", known, ("rules", index, "when"), lines)
        _require_known(entry, "destinations", known, ("rules", index), lines)
    return Node(
        sources,
        rules,
        destinations,
        _listener(content, sources, lines, folder),
        Durability(content.get("durability", Durability.POWER_CUT)),
    )


def _rule(entry: Mapping[str, Any], index: int, lines: _Lines) -> Rule:
    when = entry.get("when", {})
    age = when.get("age_years", {})
    pattern = when.get("description")
    try:
        description = re.compile(pattern, re.IGNORECASE) if pattern else None
    except re.error as error:
        raise lines.error(
            ("rules", index, "when", "description"), f"not a regular expression: {error}."
        ) from None
    return Rule(
        name=entry["name"],
        when=When(
            source=tuple(when.get("source", ())),
            modality=tuple(word.upper() for word in when.get("modality", ())),
            body_part=tuple(word.upper() for word in when.get("body_part", ())),
            description=description,
            min_age_years=age.get("min"),
            max_age_years=age.get("max"),
        ),
        models=tuple(entry["models"]),
        priority=Priority(entry.get("priority", Priority.ROUTINE)),
        destinations=tuple(entry.get("destinations", ())),
    )


def _require_different(entries: Any, kind: str, key: str, lines: _Lines) -> None:
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        value = entry.get(key)
        if value is not None and value in seen:
            raise lines.error((kind, index, key), f"{key} {value!r} is given twice.")
        seen.add(value)


def _require_known(
    entry: Mapping[str, Any],
    key: str,
    known: Mapping[str, set[str]],
    path: tuple[str | int, ...],
    lines: _Lines,
) -> None:
    for index, name in enumerate(entry.get(key, ())):
        if name not in known[key]:
            listed = ", ".join(sorted(known[key])) or "none is defined"
            raise lines.error(
                (*path, key, index), f"{key} {name!r} is not defined in this file; known: {listed}."
            )


def _listener(
    content: Mapping[str, Any], sources: tuple[Source, ...], lines: _Lines, folder: Path
) -> DimseConfig:
    keys = ("ae_title", "host", "port", "max_associations", "processes")
    given = {key: content[key] for key in keys if key in content}
    if "tls" in content:
        files = {key: folder / value for key, value in content["tls"].items()}
        given["tls"] = Tls(**files)
    callers = []
    for index, source in enumerate(sources):
        if source.ae_title is None:
            continue
        try:
            names = tuple(name.lower() for name in source.certificate_names)
            callers.append(Caller(source.ae_title, source.addresses, names))
        except DimseSettingError as error:
            raise lines.error(("sources", index), str(error)) from None
    try:
        return DimseConfig(callers=tuple(callers), **given)
    except DimseSettingError as error:
        raise lines.error((), str(error)) from None
