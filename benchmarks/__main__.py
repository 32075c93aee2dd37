"""The command: `python -m benchmarks [--quick] [--only a,b [--again]] [--out FOLDER]`."""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.bench import QUICK, THOROUGH, Bench
from benchmarks.client import LoadClient
from benchmarks.figures import Section
from benchmarks.homes import own_home
from benchmarks.inputs import make_bodies
from benchmarks.machine import describe_machine
from benchmarks.measures import (
    access,
    audit,
    footprint,
    last_byte,
    overhead,
    peers,
    precision,
    receiving,
    reduced_decoding,
    results,
    risk,
    throughput,
)
from benchmarks.page import page_from, renewed, results_json
from models import store
from serving.identity.local import passing_key
from serving.policy import Role
from serving.settings import Settings, usable_cores

PAGES = Path(__file__).parents[1] / "docs"
MEASURES: Mapping[str, Callable[[Bench], Section]] = {
    "overhead": overhead.measure,
    "reduced-decoding": reduced_decoding.measure,
    "throughput": throughput.measure,
    "peers": peers.measure,
    "precision": precision.measure,
    "footprint": footprint.measure,
    "audit": audit.measure,
    "access": access.measure,
    "results": results.measure,
    "receiving": receiving.measure,
    "last-byte": last_byte.measure,
    "risk": risk.measure,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, then print the page; a whole run also writes it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds: shows that it works")
    parser.add_argument("--only", default="", help=f"some of {', '.join(MEASURES)}")
    parser.add_argument("--out", type=Path, help="folder to write to; docs/ for a whole run")
    parser.add_argument(
        "--again", action="store_true", help="put what --only measures into the page that is there"
    )
    options = parser.parse_args(arguments)
    chosen = [name for name in options.only.split(",") if name] or list(MEASURES)
    unknown = set(chosen) - set(MEASURES)
    if unknown:
        parser.error(f"--only knows {', '.join(MEASURES)}; found {', '.join(sorted(unknown))}")
    whole = not options.quick and chosen == list(MEASURES)
    results = run(chosen, quick=options.quick)
    out = options.out or (PAGES if whole or options.again else None)
    if options.again:
        known = (PAGES / "benchmarks.json").read_text(encoding="utf-8")
        results = renewed(known, results, tuple(MEASURES))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "benchmarks.json").write_text(results, encoding="utf-8")
        (out / "benchmarks.md").write_text(page_from(results), encoding="utf-8")
    print(page_from(results))


def run(chosen: Sequence[str], *, quick: bool) -> str:
    """Take the measures named in `chosen` and return what they found as JSON."""
    package = store.load(Settings.from_environment().model)
    machine = describe_machine(package.reference_to)
    data = os.environ.get("ZHUZHEN_DATA")
    with (
        tempfile.TemporaryDirectory() as folder,
        own_home(Path(folder)),
        passing_key(Role.SYSTEM, label="benchmark") as key,
        LoadClient() as client,
    ):
        bench = Bench(
            package=package,
            bodies=make_bodies(Path(folder), package.input_spec.side_px),
            client=client,
            effort=QUICK if quick else THOROUGH,
            key=key,
            cores=usable_cores(),
            data=Path(data) if data else None,
        )
        sections = []
        for name in chosen:
            print(f"measuring {name} ...", file=sys.stderr)
            sections.append(MEASURES[name](bench))
    return results_json(machine, sections)


if __name__ == "__main__":
    main()
