"""Kill the node at random moments while studies come in, then hold what is there against what was
acknowledged.

`python -m tests.node_kills KILLS STUDIES` prints what it found, and fails if anything is lost or
twice.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from io import BytesIO
from pathlib import Path
from unittest import mock

import pydicom
from pydicom.uid import generate_uid
from sqlalchemy import func, select

from serving.archive.tables import INSTANCES, STUDIES
from serving.jobs.planning import RESULTS_SOURCE
from serving.jobs.tables import DELIVERIES, JOBS, PRE_READS
from serving.records import database_url, open_engine

EXAMPLE = Path(__file__).parents[1] / "examples" / "child-normal-1.dcm"
_NODE = """
port: {port}
sources:
  - {{name: modality, institution: local, ae_title: MODALITY, quiet_time_s: 0.2}}
rules:
  - {{name: all, models: [chest-xray-pneumonia], destinations: [out]}}
destinations:
  - {{name: out, to: "folder:{out}"}}
"""
_START_S = 120.0


class Victim:
    """A node in a process of its own, that is killed and started again."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.home = home
        text = _NODE.format(port=self.port, out=home / "out")
        (home / "node.yaml").write_text(text, encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "serving.attached", "0"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError("the node did not start; its log says why")

    def kill(self) -> None:
        """End it as a power cut would, as far as a program can."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()


def send(port: int, data: bytes) -> bool:
    """Send a file by C-STORE; whether it was acknowledged."""
    # pynetdicom brings another program of this name.
    program = shutil.which("storescu", path="/usr/local/bin:/usr/bin:/opt/homebrew/bin")
    assert program is not None, "DCMTK is not installed"
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        file.write(data)
        file.flush()
        command = [program, "-xy", "-aet", "MODALITY", "-aec", "ZHUZHEN"]
        sent = subprocess.run(
            [*command, "127.0.0.1", str(port), file.name],
            capture_output=True,
            check=False,
            timeout=120,
        )
    return sent.returncode == 0


def radiograph() -> tuple[str, bytes]:
    """A radiograph of a study of its own, and its SOP Instance UID."""
    dataset = pydicom.dcmread(EXAMPLE)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    uid = dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    stream = BytesIO()
    dataset.save_as(stream)
    return str(uid), stream.getvalue()


def trouble(home: Path, kills: int, studies: int, *, seed: int = 1) -> set[str]:
    """Send `studies` while the node is killed `kills` times; return what was acknowledged."""
    chance = random.Random(seed)
    victim = Victim(home)
    victim.start()
    acknowledged: set[str] = set()
    waiting = [radiograph() for _ in range(studies)]
    each = max(1, studies // (kills + 1))
    for number in range(kills + 1):
        last = number == kills
        until_kill = time.monotonic() + chance.uniform(0.05, 4.0)
        sent = 0
        while waiting and (last or sent < each or time.monotonic() < until_kill):
            if not last and time.monotonic() > until_kill:
                break
            uid, data = waiting[0]
            if send(victim.port, data):
                acknowledged.add(uid)
                waiting.pop(0)
                sent += 1
        if not last:
            time.sleep(max(0.0, until_kill - time.monotonic()))
            victim.kill()
            victim.start()
    _settle(studies)
    victim.kill()
    return acknowledged


def _settle(studies: int) -> None:
    engine = open_engine(database_url())
    deadline = time.monotonic() + 30 + 5 * studies
    while time.monotonic() < deadline:
        with engine.connect() as connection:
            done = connection.execute(
                select(func.count()).where(DELIVERIES.c.state == "done")
            ).scalar_one()
            open_jobs = connection.execute(
                select(func.count()).where(JOBS.c.state.in_(("queued", "running")))
            ).scalar_one()
        if done >= studies and not open_jobs:
            break
        time.sleep(0.5)
    engine.dispose()


def findings(home: Path, acknowledged: set[str], studies: int) -> list[str]:
    """Return everything that is not as it was promised."""
    engine = open_engine(database_url())
    with engine.connect() as connection:
        kept = list(
            connection.execute(
                select(INSTANCES.c.sop_instance_uid).where(INSTANCES.c.source != RESULTS_SOURCE)
            ).scalars()
        )
        current = Counter(
            connection.execute(select(PRE_READS.c.study_id).where(PRE_READS.c.is_current)).scalars()
        )
        known = set(connection.execute(select(STUDIES.c.id)).scalars())
        states = Counter(connection.execute(select(DELIVERIES.c.state)).scalars())
        results = set(
            connection.execute(
                select(INSTANCES.c.sop_instance_uid).where(INSTANCES.c.source == RESULTS_SOURCE)
            ).scalars()
        )
    engine.dispose()
    delivered = Counter(
        str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        for path in (home / "out").rglob("*.dcm")
    )
    found = []
    if lost := acknowledged - set(kept):
        found.append(f"{len(lost)} acknowledged instances are lost")
    if len(kept) != len(set(kept)) or len(known) != studies:
        found.append(f"{len(kept)} instances of {len(known)} studies; expected {studies}")
    if set(current) != known or set(current.values()) - {1}:
        found.append("a study has no current pre-read, or several")
    if set(states) != {"done"}:
        found.append(f"deliveries are {dict(states)}")
    if set(delivered) != results or set(delivered.values()) - {1}:
        found.append(f"{len(delivered)} objects were delivered, {len(results)} were made")
    return found


def main() -> None:
    """Run it and tell."""
    kills, studies = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with mock.patch.dict(os.environ, {"ZHUZHEN_HOME": folder}):
            acknowledged = trouble(home, kills, studies)
            found = findings(home, acknowledged, studies)
        sys.stdout.write(f"{kills} kills, {len(acknowledged)} of {studies} acknowledged\n")
    sys.exit("\n".join(found) or 0)


if __name__ == "__main__":
    main()
