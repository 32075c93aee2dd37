"""Objects come back as they were, or not at all; nothing of them lies in clear on disk."""

import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.objects import ObjectNotFoundError, ObjectStore, digest_of, open_objects
from serving.objects.encryption import HEADER_BYTES, SEGMENT_BYTES
from serving.objects.folder import FolderShelf
from serving.privacy import MissingKeyError, SealError, open_keyring

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_objects(tmp_path)


def files_of(folder: Path) -> list[Path]:
    return [path for path in (folder / "objects").glob("??/*") if path.is_file()]


@pytest.mark.parametrize(
    "size", [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 3 * SEGMENT_BYTES + 17]
)
def test_an_object_comes_back_as_it_was(store: ObjectStore, size: int) -> None:
    content = random.Random(size).randbytes(size)
    stored = store.put(content)
    assert stored.digest == digest_of(content)
    assert (stored.size, store.size(stored.digest)) == (size, size)
    assert store.get(stored.digest) == content
    assert store.put(io.BytesIO(content)) == stored


def test_any_part_can_be_read_alone(store: ObjectStore) -> None:
    chance = random.Random(7)
    content = chance.randbytes(5 * SEGMENT_BYTES + 99)
    digest = store.put(content).digest
    with store.open(digest) as file:
        for _ in range(50):
            start, length = chance.randrange(len(content)), chance.randrange(2 * SEGMENT_BYTES)
            file.seek(start)
            assert file.read(length) == content[start : start + length]
        assert file.seek(-3, os.SEEK_END) == len(content) - 3
        assert file.read() == content[-3:]
        assert file.read() == b""


def test_the_same_content_is_kept_once(store: ObjectStore, tmp_path: Path) -> None:
    first, second = store.put(b"one"), store.put([b"o", b"ne"])
    assert first == second
    assert len(files_of(tmp_path)) == 1


def test_objects_of_earlier_addresses_stay(tmp_path: Path) -> None:
    keyring = open_keyring(tmp_path)
    store = open_objects(tmp_path, keyring)
    content = b"kept before" * 20_000
    with store.writer("sha256") as writer:
        writer.write(content)
        earlier = writer.commit()
    assert earlier.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert store.put(content).digest.startswith("blake3:")
    keyring.add_data_key()
    assert list(store.reencrypt()) == [True, True]
    assert store.get(earlier.digest) == content


def test_a_deleted_object_is_gone(store: ObjectStore, tmp_path: Path) -> None:
    digest = store.put(b"one").digest
    assert store.exists(digest)
    assert store.delete(digest)
    assert not store.delete(digest)
    assert not store.exists(digest)
    assert not files_of(tmp_path)
    with pytest.raises(ObjectNotFoundError):
        store.open(digest)


@pytest.mark.parametrize(
    "digest", ["", "sha256:../../etc", "md5:" + "0" * 64, "sha256:" + "A" * 64]
)
def test_what_is_no_digest_leads_nowhere(store: ObjectStore, digest: str) -> None:
    with pytest.raises(ValueError, match="not a digest"):
        store.exists(digest)


def test_neither_content_nor_address_is_on_disk(store: ObjectStore, tmp_path: Path) -> None:
    content = ("张伟^Zhang Wei" * 100).encode()
    stored = store.put(content)
    for path in tmp_path.rglob("*"):
        assert stored.digest.removeprefix("blake3:") not in path.name
        if path.is_file():
            assert "张伟".encode() not in path.read_bytes()
            assert path.stat().st_mode & 0o077 == 0 or path.suffix == ".lock"


@pytest.mark.parametrize("place", [3, 60, 80, HEADER_BYTES + 5, -1])
def test_a_changed_object_is_told_and_not_given_out(
    store: ObjectStore, tmp_path: Path, place: int
) -> None:
    digest = store.put(b"x" * 1000).digest
    (path,) = files_of(tmp_path)
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)
    with pytest.raises((SealError, MissingKeyError)):
        store.get(digest)


def test_an_object_cut_at_a_segment_is_told(store: ObjectStore, tmp_path: Path) -> None:
    digest = store.put(b"x" * (2 * SEGMENT_BYTES)).digest
    (path,) = files_of(tmp_path)
    os.truncate(path, HEADER_BYTES + SEGMENT_BYTES + 16)
    with pytest.raises(SealError):
        store.get(digest)


def test_one_object_in_the_place_of_another_is_told(store: ObjectStore, tmp_path: Path) -> None:
    first = store.put(b"first").digest
    (path,) = files_of(tmp_path)
    other = store.put(b"other").digest
    shelf = FolderShelf(tmp_path / "objects")
    shelf.path_of(store.name_of(other)).write_bytes(path.read_bytes())
    assert store.get(first) == b"first"
    with pytest.raises(SealError, match="not the one"):
        store.open(other)


def test_a_failed_writer_leaves_nothing(store: ObjectStore, tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.put(pieces())
    assert not files_of(tmp_path)
    assert not list((tmp_path / "objects" / "drafts").iterdir())


def test_what_was_acknowledged_survives_a_killed_process(tmp_path: Path) -> None:
    program = """
import sys, itertools
from pathlib import Path
from serving.objects import open_objects
store = open_objects(Path(sys.argv[1]))
for number in itertools.count():
    print(store.put(str(number).encode() * 50_000).digest, flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    told += [line.strip() for line in process.stdout if line.endswith("\n")]
    process.wait()
    process.stdout.close()
    store = open_objects(tmp_path)
    for number, digest in enumerate(told):
        assert store.get(digest) == str(number).encode() * 50_000
    # What was being written has no name, and goes when the drafts are swept.
    assert len(list((tmp_path / "objects" / "drafts").iterdir())) <= 1
    FolderShelf(tmp_path / "objects").sweep(-1)
    assert not list((tmp_path / "objects" / "drafts").iterdir())


def test_keys_rotate_while_objects_come_and_go(tmp_path: Path) -> None:
    keyring = open_keyring(tmp_path)
    store = open_objects(tmp_path, keyring)
    kept = {store.put(os.urandom(90_000)).digest for _ in range(10)}
    stop, failures = threading.Event(), []

    def work(seed: int) -> None:
        # A keyring of its own, as another process would have.
        mine = open_objects(tmp_path)
        chance = random.Random(seed)
        while not stop.is_set():
            try:
                for digest in kept:
                    assert digest_of(mine.get(digest)) == digest
                fresh = mine.put(chance.randbytes(70_000)).digest
                assert mine.exists(fresh)
                mine.delete(fresh)
                assert not mine.exists(fresh)
            except BaseException as error:
                failures.append(error)
                raise

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        old = keyring.active_key().key_id
        keyring.add_data_key()
        assert sum(store.reencrypt()) >= len(kept)
        assert old != keyring.active_key().key_id
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    list(store.reencrypt())
    active = keyring.active_key().key_id
    assert store.keys_in_use() == {active: len(kept)}
    for key_id in keyring.data_key_ids():
        if key_id != active:
            keyring.drop_data_key(key_id)
    again = open_objects(tmp_path)
    assert all(digest_of(again.get(digest)) == digest for digest in kept)
