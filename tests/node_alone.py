"""A node without HTTP, in a process of its own: `python -m tests.node_alone`.

Listener, archive, worker and audit record as the service opens them, in `ZHUZHEN_HOME`; it starts
in a fraction of the service's time, for who kills it often. It ends with standard input.
"""

import sys

from serving.access import open_guard
from serving.logs import configure_logs
from serving.node.runtime import open_runtime


def main() -> None:
    """Run until standard input ends."""
    configure_logs()
    with open_guard() as guard, guard.on_duty(), open_runtime(guard):
        sys.stdin.read()


if __name__ == "__main__":
    main()
