"""What the first study loads that a rehearsal has not: `python -m tests.first_study HOME`.

In a process of its own, for what the tests before have loaded would not be loaded. Prints JSON.
"""

import json
import sys
from contextlib import closing
from pathlib import Path

import pydicom
from highdicom import _standard_utils
from sqlalchemy import select

from serving import lettering
from serving.archive.tables import INSTANCES
from tests.node_bench import EXAMPLE, Bench

_WITH_FINDINGS = EXAMPLE.with_name("child-pneumonia-1.dcm")
_MODEL = "chest-xray-pneumonia"
_CACHES = {
    name: cache
    for module in (_standard_utils, lettering)
    for name, cache in vars(module).items()
    if hasattr(cache, "cache_info")
}
_OF_THE_PICTURE = {"_lines", "_drawn"}
"""Lines that say what was found: a few, and no file is read for them."""


def _misses() -> dict[str, int]:
    found = {name: cache.cache_info().misses for name, cache in _CACHES.items()}
    return {name: count for name, count in found.items() if name not in _OF_THE_PICTURE}


def main() -> None:
    """Rehearse, look at what is kept, read a study, and look at what was loaded for it."""
    with closing(Bench(Path(sys.argv[1]))) as bench:
        bench.reader.prepare([_MODEL])
        bench.reader.rehearse([_MODEL])
        with bench.archive.engine.connect() as connection:
            kept = len(connection.execute(select(INSTANCES)).all())
        with bench.worker():
            modules, misses = set(sys.modules), _misses()
            bench.receive(pydicom.dcmread(_WITH_FINDINGS), "quick")
            (job,) = bench.settled(1)
            loaded = sorted(set(sys.modules) - modules)
            filled = [name for name, count in _misses().items() if count > misses[name]]
    found = {"kept": kept, "state": job.state, "modules": loaded, "caches": filled}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
