"""`zhuzhen models register|pull|promote|rollback|compare|history`: the doors to the registry."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.errors import PackageNotFoundError, ZhuzhenError
from models.store import CHALLENGER, CHAMPION, home

if TYPE_CHECKING:
    from training.comparison import Difference
    from training.registry import Registered, Registry
    from training.release_gate import Verdict

_STDERR = Console(stderr=True)
_STDOUT = Console()

Name = Annotated[str, typer.Argument(help="The name of a model.")]
By = Annotated[str | None, typer.Option(help="Who decides; by default the user of this machine.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


@contextmanager
def _told_errors() -> Iterator[None]:
    try:
        yield
    except ZhuzhenError as error:
        _STDERR.print(f"[red]{error}[/red]", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


def register(
    model: Annotated[str, typer.Argument(help="NAME or NAME@VERSION of a package in the store.")],
    configuration: Annotated[
        str | None,
        typer.Option(help="The configuration it was made with; by default that of its name."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of all data sets; by default ZHUZHEN_DATA.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Register a package that was not trained here, so that others can be held against it.

    Its answers on the test part of its own data are measured anew: this is its locked set. It
    becomes the challenger. What `zhuzhen train` makes is registered already.
    """
    with _told_errors():
        from datasets.command import data_folder
        from models.store import load
        from training.command import ProgressWatch
        from training.config import load_any_config
        from training.pipeline import Places
        from training.registering import register_package

        package = load(model)
        config = load_any_config(configuration or package.reference_to.name)
        places = Places(data_folder(data), home(), home() / "models")
        with ProgressWatch() as watch:
            registered = register_package(package, config, places, watch)
    text = f"{registered.name} {registered.version} is registered: {registered.digest}"
    typer.echo(json.dumps(asdict(registered)) if as_json else text)


def pull(
    name: Name,
    alias: Annotated[
        str, typer.Option(help="champion, challenger, or a version that becomes the champion here.")
    ] = CHAMPION,
    as_json: Json = False,
) -> None:
    """Bring the version that an alias means into the local store, its digest verified.

    A running service follows within seconds, without dropping a request.
    """
    with _told_errors():
        from training.registry import Registry

        registry = Registry(home())
        registered = registry.resolve(name, alias)
        as_alias = alias if alias in (CHAMPION, CHALLENGER) else CHAMPION
        folder = registry.pull(registered, as_alias)
    told = {**asdict(registered), "alias": as_alias, "folder": str(folder)}
    text = f"{name} {registered.version} is the {as_alias} here: {registered.digest}"
    typer.echo(json.dumps(told) if as_json else text)


def promote(
    name: Name,
    version: Annotated[
        str, typer.Option(help="The version; by default the one with the alias challenger.")
    ] = CHALLENGER,
    by: By = None,
    no_pull: Annotated[
        bool, typer.Option("--no-pull", help="Leave the local store as it is.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make the challenger the champion, if it passes every test of the gate.

    The exit status is 1 where it does not; the tests that fail are told, and by how much.
    """
    with _told_errors():
        from training.registry import Registry
        from training.release_gate import summary, verdicts_as_json

        registry = Registry(home())
        registered = registry.resolve(name, version)
        if not no_pull:
            registry.require_place(registered)
        verdicts = _judged(registry, registered)
        passed = all(verdict.passed for verdict in verdicts)
        if not passed:
            registry.refuse(registered, summary(verdicts), by)
        else:
            registry.promote(registered, summary(verdicts), by)
            if not no_pull:
                registry.pull(registered, CHAMPION)
    if as_json:
        told = {"name": name, "version": registered.version, "promoted": passed}
        typer.echo(json.dumps({**told, "gate": verdicts_as_json(verdicts)}))
    else:
        _show_verdicts(registered, verdicts)
    raise typer.Exit(0 if passed else 1)


def rollback(name: Name, by: By = None, as_json: Json = False) -> None:
    """Make champion again what was champion before, here and in the registry."""
    with _told_errors():
        from training.registry import Registry, vars_of

        registry = Registry(home())
        back, release = registry.rollback(name, by)
        registry.pull(back, CHAMPION)
    text = f"{name} {back.version} is the champion again ({release.gate}): {back.digest}"
    typer.echo(json.dumps({"name": name, **vars_of(release)}) if as_json else text)


def history(name: Name, as_json: Json = False) -> None:
    """List every decision on the champion, refusals too: when, by whom, what the gate said."""
    with _told_errors():
        from training.registry import Registry, vars_of

        registry = Registry(home())
        found = registry.history(name)
        if not registry.versions(name):
            raise PackageNotFoundError(
                f"The registry has no version of {name!r}, so there is nothing to tell. "
                "`zhuzhen models list` says which models there are, `register` brings one in."
            )
    if not found and not as_json:
        typer.echo(f"Nothing was decided on {name} yet. `zhuzhen models promote {name}` is next.")
    for release in found:
        text = (
            f"{release.at} {release.action} {release.version} by {release.by}\n    {release.gate}"
        )
        typer.echo(json.dumps({"name": name, **vars_of(release)}) if as_json else text)


def compare(
    first: Annotated[str, typer.Argument(help="NAME@VERSION, NAME@champion or NAME@challenger.")],
    second: Annotated[str, typer.Argument(help="The version that is held against the first.")],
    out: Annotated[Path, typer.Option(help="The picture.")] = Path("comparison.png"),
    as_json: Json = False,
) -> None:
    """Compare two versions on their locked set, sample by sample, and draw the difference."""
    with _told_errors():
        from training.against_champion import locked_set_of_version
        from training.comparison import differences, paired, right_alone
        from training.comparison_plot import draw_comparison
        from training.registry import Registry
        from training.release_gate import GateConfig

        registry = Registry(home())
        with tempfile.TemporaryDirectory() as folder:
            found = [_named(registry, each) for each in (first, second)]
            kept = [locked_set_of_version(registry, each, Path(folder)) for each in found]
        pair = paired(kept[0], kept[1])
        told, alone = differences(*pair), right_alone(*pair)
        names = (f"{found[0].name} {found[0].version}", f"{found[1].name} {found[1].version}")
        draw_comparison(names, pair, told, GateConfig().accepted_losses, out)
    if as_json:
        both = {"first": asdict(found[0]), "second": asdict(found[1]), "picture": str(out)}
        rows = [asdict(each) for each in told]
        typer.echo(
            json.dumps({**both, "samples": len(pair[0]), "differences": rows, "right_alone": alone})
        )
        return
    _show_comparison(found, told, alone)
    typer.echo(f"{len(pair[0])} samples of the locked set; {out}")


def _judged(registry: "Registry", registered: "Registered") -> "list[Verdict]":
    from models.package import ModelPackage
    from models.risk.recalibration import is_recalibration
    from training.against_champion import locked_set_of_version
    from training.release_gate import judge

    champion = registry.champion(registered.name)
    with registry.package(registered) as root:
        if is_recalibration(root):
            return _judged_recalibration(registry, registered, root)
    with tempfile.TemporaryDirectory() as folder:
        challenger = locked_set_of_version(registry, registered, Path(folder) / "challenger")
        held = None
        if champion is not None and champion.number != registered.number:
            held = locked_set_of_version(registry, champion, Path(folder) / "champion")
        with registry.package(registered) as root:
            return judge(ModelPackage.load(root), challenger, held)


def _judged_recalibration(
    registry: "Registry", registered: "Registered", root: Path
) -> "list[Verdict]":
    from models.risk.recalibration import read_recalibration
    from models.risk.registry import SCORES
    from training.recalibration.held_out import judge_recalibration, read_held_out
    from training.registry import LOCKED_SET, ReleaseError

    before = registry.champion(registered.name)
    champion = None
    if before is not None and before.number != registered.number:
        with registry.package(before) as folder:
            champion = read_recalibration(folder, SCORES)
    with tempfile.TemporaryDirectory() as folder:
        at = registry.artifact(registered, LOCKED_SET, Path(folder))
        if at is None:
            raise ReleaseError(
                f"{registered.name} {registered.version} has no held-out people in the registry; "
                "recalibrate again."
            )
        return judge_recalibration(root, read_held_out(at), champion)


def _named(registry: "Registry", model: str) -> "Registered":
    name, _, version = model.partition("@")
    if not version:
        raise PackageNotFoundError(
            f"{model!r} names no version; expected NAME@VERSION, NAME@champion or NAME@challenger."
        )
    return registry.resolve(name, version)


def _show_comparison(
    found: "list[Registered]", told: "list[Difference]", alone: dict[str, dict[str, int]]
) -> None:
    from training.release_gate import GateConfig

    accepted = GateConfig().accepted_losses
    same = found[0].name == found[1].name
    columns = [each.version if same else f"{each.name} {each.version}" for each in found]
    title = found[0].name if same else None
    heads = ("Difference", "95 % interval", "Loss accepted")
    table = Table("Finding", "Figure", *columns, *heads, title=title)
    for each in told:
        interval = f"{each.low:+.4f} to {each.high:+.4f}"
        numbers = f"{each.first:.4f}", f"{each.second:.4f}", f"{each.difference:+.4f}"
        loss = each.kept(accepted)
        table.add_row(each.label, each.figure.replace("_", " "), *numbers, interval, loss)
    _STDOUT.print(table)
    for label, count in alone.items():
        typer.echo(
            f"{label}: rightly called by {columns[1]} alone {count['second']}, by {columns[0]} "
            f"alone {count['first']}"
        )


def _show_verdicts(registered: "Registered", verdicts: "list[Verdict]") -> None:
    table = Table("Test", "", "What was found")
    for verdict in verdicts:
        mark = "[green]passed[/green]" if verdict.passed else "[red]FAILED[/red]"
        # A line for each thing that was found.
        table.add_row(verdict.test, mark, verdict.told.replace("; ", ";\n"))
    _STDOUT.print(table)
    failed = [verdict.test for verdict in verdicts if not verdict.passed]
    what = f"{registered.name} {registered.version}"
    typer.echo(
        f"{what} is NOT promoted: {', '.join(failed)} failed. Nothing was changed."
        if failed
        else f"{what} is the champion: {registered.digest}"
    )
