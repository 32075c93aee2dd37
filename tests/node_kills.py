"""Kill the node at random moments while studies come in, then hold what is there against what was
acknowledged.

`python -m tests.node_kills KILLS STUDIES [DURABILITY]` prints what it found, and fails if anything
is lost or twice.
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from io import BytesIO
from pathlib import Path
from unittest import mock

import pydicom
from pydicom.uid import UID, ComputedRadiographyImageStorage, generate_uid
from sqlalchemy import func, select

from serving.archive.file_meta import open_file
from serving.archive.tables import INSTANCES, STUDIES
from serving.jobs.planning import RESULTS_SOURCE
from serving.jobs.tables import DELIVERIES, JOBS, PRE_READS
from serving.records import database_url, open_engine
from tests.broken_instances import send_store
from tests.orthanc import free_port

EXAMPLE = Path(__file__).parents[1] / "examples" / "child-normal-1.dcm"
_NODE = """
port: {port}
durability: power-cut
sources:
  - {{name: modality, institution: local, ae_title: MODALITY, quiet_time_s: 0.2}}
rules:
  - {{name: all, models: [chest-xray-pneumonia], destinations: [out]}}
destinations:
  - {{name: out, to: "folder:{out}"}}
"""
_START_S = 300.0
_LONGEST_ROUND_S = 6.0


class Victim:
    """A node in a process of its own, that is killed and started again."""

    def __init__(self, home: Path, text: str = _NODE, port: int | None = None) -> None:
        """A node in `home`, by the node.yaml that `text` is the pattern of."""
        self.port = port or free_port()
        self.home = home
        text = text.format(port=self.port, out=home / "out")
        (home / "node.yaml").write_text(text, encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        """Start it, with `arguments` of `tests.node_alone`, and wait until it listens."""
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.node_alone", *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
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

    def kill(self, *, alone: bool = False) -> None:
        """End it, with the processes beside it, as a power cut would, as far as a program can.

        `alone`, the service itself is ended and they are left, as when the system is short of
        memory.
        """
        assert self._process is not None
        if alone:
            self._process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()


class Modality:
    """Sends radiographs, each of a study of its own, until each is acknowledged."""

    def __init__(self, port: int, studies: int) -> None:
        self._port = port
        self._studies = studies
        self._begun: bytes | None = None
        self.acknowledged: set[str] = set()

    @property
    def is_done(self) -> bool:
        """Whether everything was acknowledged."""
        return len(self.acknowledged) == self._studies

    def send(self, count: int, chance: random.Random, within_s: float) -> None:
        """Send some, one association for all, until the node is killed; again what was not
        acknowledged.
        """
        example = open_file(EXAMPLE.read_bytes())
        syntax = UID(example.transfer_syntax_uid)
        with (
            contextlib.suppress(OSError),
            send_store(self._port, "MODALITY", ComputedRadiographyImageStorage, syntax) as store,
        ):
            while count and not self.is_done:
                time.sleep(chance.uniform(0.0, within_s / count))
                self._begun = self._begun or radiograph()
                dataset = pydicom.dcmread(BytesIO(self._begun))
                if store(dataset, bytes(open_file(self._begun).data_set)) == 0:
                    self.acknowledged.add(str(dataset.SOPInstanceUID))
                    self._begun = None
                    count -= 1


def radiograph() -> bytes:
    """A radiograph of a study of its own."""
    dataset = pydicom.dcmread(EXAMPLE)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    stream = BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def trouble(
    home: Path, kills: int, studies: int, *, durability: str = "power-cut", seed: int = 1
) -> set[str]:
    """Send `studies` while the node is killed `kills` times; return what was acknowledged."""
    chance = random.Random(seed)
    victim = Victim(home, _NODE.replace("power-cut", durability))
    modality = Modality(victim.port, studies)
    each = max(1, studies // (kills + 1))
    for kill in range(kills):
        victim.start()
        # From the first instance to the last delivery: a worker begins seconds after the listener.
        killing = threading.Timer(
            chance.uniform(0.05, _LONGEST_ROUND_S), victim.kill, kwargs={"alone": not kill % 3}
        )
        killing.start()
        modality.send(each, chance, _LONGEST_ROUND_S / 2)
        killing.join()
    victim.start()
    while not modality.is_done:
        modality.send(studies, chance, 0.0)
    _settle(studies)
    victim.kill()
    return modality.acknowledged


def _settle(studies: int) -> None:
    engine = open_engine(database_url())
    deadline = time.monotonic() + 240 + 5 * studies
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
    durability = sys.argv[3] if len(sys.argv) > 3 else "power-cut"
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with mock.patch.dict(os.environ, {"ZHUZHEN_HOME": folder}):
            acknowledged = trouble(home, kills, studies, durability=durability)
            found = findings(home, acknowledged, studies)
        took_s = time.monotonic() - began
        told = f"{kills} kills, {len(acknowledged)} of {studies} acknowledged, {took_s:.0f} s"
        sys.stdout.write(f"{told}, {'as promised' if not found else 'NOT as promised'}\n")
    sys.exit("\n".join(found) or 0)


if __name__ == "__main__":
    main()
