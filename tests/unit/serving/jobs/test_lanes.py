"""Slots: kept for what begins, waited for by what goes on, and given back."""

import threading
from collections.abc import Callable

import pytest

from serving.jobs.lanes import Lanes, Stopping


def lanes(slots: int = 1, freed: Callable[[], None] = lambda: None) -> Lanes:
    found = Lanes(freed)
    found.add({"lane": slots})
    return found


def test_a_slot_is_kept_held_and_free_again() -> None:
    freed: list[int] = []
    found = lanes(2, lambda: freed.append(found.free("lane")))
    found.take("lane", "a")
    assert found.free("lane") == 1
    assert "a" not in found, "it has not begun"
    with found.held("lane", "a"):
        assert found.free("lane") == 1
        assert "a" in found
    assert found.free("lane") == 2
    assert "a" not in found
    assert freed == [2]


def test_what_did_not_begin_gives_its_slot_back_once() -> None:
    found = lanes()
    found.take("lane", "a")
    found.give_back("a")
    found.give_back("a")
    assert found.free("lane") == 1


def test_what_goes_on_after_a_kill_waits_and_comes_before_what_begins() -> None:
    found = lanes()
    found.take("lane", "a")
    inside, leave = threading.Event(), threading.Event()

    def go_on() -> None:
        with found.held("lane", "b"):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=go_on)
    with found.held("lane", "a"):
        thread.start()
        assert not inside.wait(0.1)
        assert "b" in found, "it is no stray"
    assert inside.wait(10)
    assert found.free("lane") == 0
    leave.set()
    thread.join()
    assert found.free("lane") == 1


def test_nobody_waits_for_a_worker_that_stops() -> None:
    found = lanes()
    found.take("lane", "a")
    ended: list[type[BaseException]] = []

    def go_on() -> None:
        try:
            with found.held("lane", "b"):
                pass
        except BaseException as error:  # noqa: BLE001 - it is no Exception
            ended.append(type(error))

    thread = threading.Thread(target=go_on)
    thread.start()
    found.close()
    thread.join(10)
    assert ended == [Stopping]
    assert "b" not in found


def test_a_lane_that_is_gone_lets_what_was_begun_end() -> None:
    found = Lanes(lambda: None)
    with found.held("gone", "a"):
        assert "a" in found


def test_an_error_frees_the_slot() -> None:
    found = lanes()
    with pytest.raises(ValueError, match="within"), found.held("lane", "a"):
        raise ValueError("within")
    assert found.free("lane") == 1
