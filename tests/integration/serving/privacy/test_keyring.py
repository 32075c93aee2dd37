"""Master keys rotate, are told apart, and are never written where they could be read."""

import stat
from pathlib import Path

import pytest

from serving.privacy import (
    MissingKeyError,
    SealError,
    SecretName,
    blind_index,
    open_keyring,
    pseudonym_of,
    seal,
    unseal,
)
from serving.privacy.keyring import Keyring
from serving.privacy.master_keys import load_master_keys, new_master_key, parse_master_keys


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return open_keyring(tmp_path)


def test_a_new_installation_makes_keys_that_only_its_owner_can_read(
    keyring: Keyring, tmp_path: Path
) -> None:
    files = sorted(path for path in (tmp_path / "keys").iterdir() if path.suffix != ".lock")
    assert [path.name for path in files] == ["keyring.json", "master.key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    again = open_keyring(tmp_path)
    assert again.active_key() == keyring.active_key()
    assert len({keyring.secret(name) for name in SecretName}) == len(SecretName)


def test_the_environment_wins_and_makes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZHUZHEN_MASTER_KEY", new_master_key())
    open_keyring(tmp_path)
    assert not (tmp_path / "keys" / "master.key").exists()


def test_another_installations_key_is_told(tmp_path: Path, keyring: Keyring) -> None:
    (tmp_path / "keys" / "master.key").write_text(new_master_key())
    with pytest.raises(MissingKeyError, match=r"master key [0-9a-f]{16}, which is not given"):
        open_keyring(tmp_path)


@pytest.mark.parametrize("written", ["", "short", "c2hvcnQ=", "not base64!" * 4])
def test_what_is_no_key_is_told_and_not_repeated(written: str) -> None:
    with pytest.raises(MissingKeyError) as told:
        parse_master_keys(written, "ZHUZHEN_MASTER_KEY")
    assert not written or written not in str(told.value)


def test_a_key_file_that_is_named_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(MissingKeyError, match="cannot be read"):
        load_master_keys(tmp_path, {"ZHUZHEN_MASTER_KEY_FILE": str(tmp_path / "absent")})


def test_a_provider_that_is_not_installed_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingKeyError, match="no installed package offers"):
        load_master_keys(tmp_path, {"ZHUZHEN_MASTER_KEY_PROVIDER": "vault"})


def test_a_new_master_key_rewraps_and_the_old_one_is_no_longer_needed(tmp_path: Path) -> None:
    old, new = new_master_key(), new_master_key()
    path = tmp_path / "keyring.json"
    before = Keyring(path, parse_master_keys(old, "test"))
    sealed = seal(before, "张伟", "patients.name")
    both = Keyring(path, parse_master_keys(f"{new}\n{old}", "test"))
    assert both.rewrap() == 1 + len(SecretName)
    assert both.rewrap() == 0
    after = Keyring(path, parse_master_keys(new, "test"))
    assert unseal(after, sealed, "patients.name") == "张伟"
    with pytest.raises(MissingKeyError):
        Keyring(path, parse_master_keys(old, "test"))


def test_a_new_data_key_seals_and_the_old_one_still_opens(keyring: Keyring, tmp_path: Path) -> None:
    other_process = open_keyring(tmp_path)
    before = seal(keyring, "one", "notes")
    keyring.add_data_key()
    after = seal(other_process, "one", "notes")
    assert before.split(".")[1] != after.split(".")[1] == keyring.active_key().key_id
    assert unseal(other_process, before, "notes") == unseal(keyring, after, "notes") == "one"
    keyring.drop_data_key(before.split(".")[1])
    with pytest.raises(MissingKeyError):
        unseal(open_keyring(tmp_path), before, "notes")


def test_a_sealed_value_opens_in_its_own_place_alone(keyring: Keyring) -> None:
    sealed = seal(keyring, "王芳", "patients.name")
    assert "王芳" not in sealed
    assert seal(keyring, "王芳", "patients.name") != sealed
    with pytest.raises(SealError):
        unseal(keyring, sealed, "patients.address")
    with pytest.raises(SealError):
        unseal(keyring, sealed[:-4] + "AAA=", "patients.name")
    with pytest.raises(SealError, match="is not"):
        unseal(keyring, "王芳", "patients.name")


def test_equal_values_are_found_and_say_no_more(keyring: Keyring, tmp_path: Path) -> None:
    index = blind_index(keyring, "4711", "patients.identifier")
    assert index == blind_index(keyring, "4711", "patients.identifier")
    assert index != blind_index(keyring, "4711", "patients.phone")
    assert index != blind_index(open_keyring(tmp_path / "other"), "4711", "patients.identifier")


def test_a_pseudonym_is_one_patients_in_one_installation(keyring: Keyring, tmp_path: Path) -> None:
    pseudonym = pseudonym_of(keyring, "county-hospital", "MRN-4711")
    assert pseudonym == pseudonym_of(keyring, "county-hospital ", " MRN-4711")
    assert (
        len(
            {
                pseudonym,
                pseudonym_of(keyring, "county-hospital", "mrn-4711"),
                pseudonym_of(keyring, "clinic", "MRN-4711"),
                pseudonym_of(open_keyring(tmp_path / "other"), "county-hospital", "MRN-4711"),
            }
        )
        == 4
    )
    assert "4711" not in pseudonym
