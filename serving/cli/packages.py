"""`zhuzhen models`: which model packages there are, what they are for, whether they are intact."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.table import Column, Table

from models import store
from models.errors import PackageError
from models.fact_words import FACT_NAMES
from models.package import CARD, CHECKSUMS, EVALUATION, Label, ModelPackage, digest_of
from models.risk import local_scores
from models.risk.recalibration import is_recalibration
from models.risk.registry import SCORES
from serving.answers import NOTICE, write_json
from serving.cli.answers_table import console_for_people

_INTACT = 0
_NOT_INTACT = 1


def list_packages(*, as_json: bool) -> None:
    """List every package of the store, newest version of a name last."""
    entries = [_entry(name, version, folder) for name, version, folder in _all_packages()]
    if as_json:
        _write_lines(entries)
        return
    table = Table("Model", "Version", "Alias", "From", Column("Digest", overflow="fold"))
    for entry in entries:
        aliases = ", ".join(entry["aliases"])
        table.add_row(entry["name"], entry["version"], aliases, entry["origin"], entry["digest"])
    console_for_people().print(table if entries else "There is no model package in the store.")


def show_package(model: str, *, as_json: bool) -> None:
    """Show what `model` is for, what it finds, and how it measured.

    Raises:
        PackageError: there is no such package, or it is not intact.
    """
    package = store.load(model)
    description = _description(package)
    if as_json:
        _write_lines([description])
        return
    console = console_for_people()
    console.print(f"[bold]{package.reference_to.name} {package.reference_to.version}[/bold]")
    console.print(package.reference_to.digest, style="dim", soft_wrap=True)
    console.print("\nIntended use / 预期用途", style="bold")
    console.print(package.statement.en, package.statement.zh, sep="\n")
    console.print(_rules_table(package), _labels_table(description["labels"]))
    measured = description["measured"]
    console.print(_figures_table(measured) if measured else "The package states no figures.")
    console.print(f"Card: {package.root / CARD}", soft_wrap=True)
    console.print(NOTICE.en, NOTICE.zh, sep="\n", style="bold")


def verify_packages(models: Sequence[str], *, as_json: bool) -> int:
    """Check `models`, by default all packages, and return the exit status."""
    wanted = list(models) or [f"{name}@{version}" for name, version, _ in _all_packages()]
    status = _INTACT
    for model in wanted:
        result = _verified(model)
        if not result["intact"]:
            status = _NOT_INTACT
        if as_json:
            _write_lines([result])
        elif result["intact"]:
            typer.echo(f"intact: {model}  {result['digest']}")
        else:
            typer.echo(f"NOT INTACT: {model}: {result['problem']}")
    if not wanted:
        typer.echo("There is no model package in the store.", err=True)
    return status


def _all_packages() -> Iterator[tuple[str, str, Path]]:
    for name, versions in sorted(store.versions().items()):
        for version in sorted(versions, key=_numbers):
            yield name, version, versions[version]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _entry(name: str, version: str, folder: Path) -> dict[str, Any]:
    checksums = folder / CHECKSUMS
    digest = f"sha256:{digest_of(checksums)}" if checksums.is_file() else "unknown"
    meant = store.Stated(version, digest)
    return {
        "name": name,
        "version": version,
        "aliases": sorted(alias for alias, each in store.aliases(name).items() if each == meant),
        "origin": "released" if folder.is_relative_to(store.RELEASED) else "local",
        "digest": digest,
    }


def _verified(model: str) -> dict[str, Any]:
    try:
        if is_recalibration(store.find(model)):
            digest = local_scores.load(model, SCORES).digest
        else:
            digest = store.load(model).reference_to.digest
    except PackageError as error:
        return {"model": model, "intact": False, "digest": None, "problem": str(error)}
    return {"model": model, "intact": True, "digest": digest, "problem": None}


def _description(package: ModelPackage) -> dict[str, Any]:
    return {
        **asdict(package.reference_to),
        "intended_use": asdict(package.statement),
        "rules": [{"fact": rule.fact, "expected": rule.expected.en} for rule in package.rules],
        "labels": [_label(label) for label in package.labels],
        "measured": _measured(package.root / EVALUATION),
        "notice": asdict(NOTICE),
    }


def _label(label: Label) -> dict[str, Any]:
    return {
        "label": label.label,
        "name": asdict(label.name),
        "codes": [
            {"system": code.system, "code": code.value, "display": code.display}
            for code in label.codes
        ],
        "operating_point": label.calibration.operating_point,
        "conformal_coverage": label.calibration.conformal_coverage,
    }


def _measured(evaluation: Path) -> Mapping[str, Any] | None:
    """Return the figures of the test part with their 95 % intervals, or None."""
    test = json.loads(evaluation.read_text(encoding="utf-8")).get("test")
    if test is None:
        return None
    # Of classes that exclude each other there is no single finding to count.
    counts = {name: test[name] for name in ("images", "patients", "positives") if name in test}
    return {**counts, "figures": test["figures"]}


def _rules_table(package: ModelPackage) -> Table:
    table = Table("Fact", "Must be", title="What the gate checks", title_justify="left")
    for rule in package.rules:
        name, expected = FACT_NAMES[rule.fact], rule.expected
        told = dict.fromkeys((expected.en, expected.zh))
        table.add_row(f"{name.en} {name.zh}", "\n".join(told))
    return table


def _labels_table(labels: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("Finding", "Codes", "Present from", "Coverage", title_justify="left")
    table.title = "What it finds"
    for label in labels:
        codes = "\n".join(
            f"{code['code']} {code['display']} ({code['system']})" for code in label["codes"]
        )
        table.add_row(
            f"{label['name']['en']} {label['name']['zh']}",
            codes,
            f"{label['operating_point']:.3f}",
            f"{label['conformal_coverage']:.0%}",
        )
    return table


def _figures_table(measured: Mapping[str, Any]) -> Table:
    counts = "{images} samples of {patients} patients or groups".format(**measured)
    if "positives" in measured:
        counts += f", {measured['positives']} with the finding"
    table = Table("Figure", "Value", "95 % interval", title_justify="left")
    table.title = f"How it measured on its test part: {counts}"
    for name, figure in measured["figures"].items():
        interval = f"{figure['low']:.3f} to {figure['high']:.3f}"
        table.add_row(name.replace("_", " "), f"{figure['value']:.3f}", interval)
    return table


def _write_lines(objects: Sequence[Mapping[str, Any]]) -> None:
    for value in objects:
        typer.echo(write_json(value).encode())
