import json
import shutil
import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models import store
from models.errors import DataError
from models.findings import Text, Verdict
from models.institution_names import read_names
from models.observation import (
    BUSY,
    FAILED,
    OBSERVED,
    SHADOW,
    STOPPED,
    Observation,
    folder_of,
    line_of,
    read_days,
)
from models.package import METADATA, seal
from serving.metrics import exposition
from serving.observations import ImageWatch, observed_reading
from serving.privacy import open_keyring
from serving.shelf import Shelf
from serving.watching import WAITING_INPUTS, Watcher

MODEL = "chest-xray-pneumonia"
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
TODAY = datetime.now(UTC).date()
SPAN = (TODAY - timedelta(days=1), TODAY + timedelta(days=1))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path))
    return tmp_path


def challenge(home: Path) -> None:
    folder = home / "models" / MODEL / "99.0.0"
    shutil.copytree(store.RELEASED / MODEL / "1.0.0", folder)
    metadata = json.loads((folder / METADATA).read_text("utf-8"))
    metadata["version"] = "99.0.0"
    (folder / METADATA).write_text(json.dumps(metadata), encoding="utf-8")
    store.set_alias(MODEL, store.CHALLENGER, store.Stated("99.0.0", seal(folder)))
    digest = store.load(f"{MODEL}@1.0.0").reference_to.digest
    store.set_alias(MODEL, store.CHAMPION, store.Stated("1.0.0", digest))


def watched(*files: str) -> Shelf:
    shelf = Shelf()
    recognizer = shelf.recognizer(MODEL)
    watcher = Watcher()
    watch = ImageWatch(watcher, shelf, open_keyring())
    for file in files:
        data = (EXAMPLES / file).read_bytes() if file else b"no image"
        watch.saw(MODEL, recognizer.read(data), data, "clinic-7")
        for _ in range(400):
            # The shadow may take its time; closing would skip what waits.
            if watcher._inputs.empty():
                break
            threading.Event().wait(0.02)
    watcher.close()
    return shelf


def test_measurements_of_each_reading_are_kept_and_no_person(home: Path) -> None:
    watched("child-pneumonia-1.dcm", "")
    first, second = read_days(MODEL, OBSERVED, *SPAN)
    newest = store.load(MODEL).reference_to.version
    assert (first.institution, first.version, first.verdict) == ("clinic-7", newest, "accepted")
    assert set(first.facts) >= {"dynamic_range", "sharpness", "rows_px", "columns_px"}
    assert len(first.position) == 8
    assert set(first.said) == {"pneumonia"}
    assert (second.verdict, dict(second.said)) == (Verdict.UNREADABLE.value, {})
    (path,) = folder_of(MODEL).glob("*.jsonl")
    text = path.read_text(encoding="utf-8")
    assert "PatientName" not in text
    assert "1.2." not in text
    assert list(read_days(MODEL, SHADOW, *SPAN)) == []


def test_challenger_reads_along_unseen(home: Path) -> None:
    challenge(home)
    shelf = watched("child-normal-1.dcm", "child-pneumonia-1.dcm")
    pairs = list(read_days(MODEL, SHADOW, *SPAN))
    assert [each.version for each in pairs] == ["1.0.0", "1.0.0"]
    for each in pairs:
        assert each.challenger is not None
        assert each.challenger.version == "99.0.0"
        assert each.challenger.said == each.said
    # What answers a request is the champion still.
    ready = shelf.ready(MODEL)
    assert ready is not None
    assert ready.package.reference_to.version == "1.0.0"
    assert b'zhuzhen_observations_total{kind="shadow",outcome="written"}' in exposition()


def test_challenger_that_must_not_be_loaded_is_counted_and_no_more(home: Path) -> None:
    challenge(home)
    (home / "models" / MODEL / "99.0.0" / "calibration.json").write_text("{}", encoding="utf-8")
    watched("child-normal-1.dcm")
    assert len(list(read_days(MODEL, OBSERVED, *SPAN))) == 1
    (told,) = read_days(MODEL, SHADOW, *SPAN)
    assert (told.skipped, told.challenger, dict(told.said)) == (FAILED, None, {})
    assert b'zhuzhen_observations_total{kind="shadow",outcome="failed"}' in exposition()


def test_inputs_that_the_challenger_has_no_time_for_are_kept_with_the_reason(home: Path) -> None:
    challenge(home)
    watcher, observation, held = Watcher(), one(), threading.Event()

    def slow(_: str) -> Observation:
        held.wait(20)
        return observation

    answered = store.load(f"{MODEL}@1.0.0").reference_to
    # One is being read, as many wait as may, and three are too many.
    watcher.saw(MODEL, answered, observation, slow)
    while not watcher._inputs.empty():
        threading.Event().wait(0.01)
    for _ in range(WAITING_INPUTS + 3):
        watcher.saw(MODEL, answered, observation, slow)
    threading.Timer(0.2, held.set).start()
    watcher.close()
    told = Counter(each.skipped for each in read_days(MODEL, SHADOW, *SPAN))
    assert told == {"": 1, BUSY: 3, STOPPED: WAITING_INPUTS}


def test_names_of_institutions_are_kept_beside_what_they_sent(home: Path) -> None:
    asked = []

    def names() -> dict[str, Text]:
        asked.append(1)
        return {"clinic-7": Text("Clinic 7", "第七诊所")}

    watcher, observation = Watcher(names), one()
    for institution in ("clinic-7", "clinic-7", "unknown", "unknown"):
        said = replace(observation, institution=institution)
        watcher.saw(MODEL, store.load(MODEL).reference_to, said, lambda _: observation)
    watcher.close()
    assert read_names() == {"clinic-7": Text("Clinic 7", "第七诊所")}
    assert len(asked) <= 2


def one() -> Observation:
    recognizer = Shelf().recognizer(MODEL)
    data = (EXAMPLES / "child-normal-1.dcm").read_bytes()
    return observed_reading(recognizer.read(data), "clinic-7")


def test_line_that_was_cut_off_is_left_out_and_any_other_named(home: Path) -> None:
    line = line_of(one())
    path = folder_of(MODEL) / f"{TODAY.isoformat()}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(line + line[:40], encoding="utf-8")
    assert len(list(read_days(MODEL, OBSERVED, *SPAN))) == 1
    path.write_text(line + line[:40] + "\n" + line, encoding="utf-8")
    with pytest.raises(DataError, match=r"\.jsonl line 2 is no observation"):
        list(read_days(MODEL, OBSERVED, *SPAN))
