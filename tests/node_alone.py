"""A node without HTTP, in a process of its own: `python -m tests.node_alone [MOMENT]`.

Listener, archive, worker and audit record as the service opens them, in `ZHUZHEN_HOME`; it starts
in a fraction of the service's time, for who kills it often. It ends with standard input.

At MOMENT (`before` it is on record that a study came, or `after`) it says so and stays there.
"""

import sys
import time

from serving.access import open_guard
from serving.logs import configure_logs
from serving.node.access import Gatekeeper
from serving.node.runtime import open_runtime
from serving.routing import Source


def _stay_at(moment: str) -> None:
    received = Gatekeeper.received

    def receiving(self: Gatekeeper, source: Source, study_id: int) -> None:
        if moment == "after":
            received(self, source, study_id)
        sys.stdout.write(f"{moment} it is on record\n")
        sys.stdout.flush()
        time.sleep(600)

    Gatekeeper.received = receiving  # type: ignore[method-assign]


def main() -> None:
    """Run until standard input ends."""
    if len(sys.argv) > 1:
        _stay_at(sys.argv[1])
    configure_logs()
    with open_guard() as guard, guard.on_duty(), open_runtime(guard):
        sys.stdin.read()


if __name__ == "__main__":
    main()
