import pytest

from benchmarks.rounds import Contender, Spread, ratio, take_turns


def test_every_contender_has_one_turn_a_round_and_the_first_changes() -> None:
    order: list[str] = []

    def contender(name: str) -> Contender:
        def turn() -> float:
            order.append(name)
            return float(len(order))

        return turn

    samples = take_turns({name: contender(name) for name in "abc"}, rounds=3)
    assert "".join(order) == "abcbcacab"
    assert samples == {"a": [1.0, 6.0, 8.0], "b": [2.0, 4.0, 9.0], "c": [3.0, 5.0, 7.0]}


def test_a_ratio_compares_within_each_round() -> None:
    # The machine was ten times slower in the second round: that must not show.
    samples = {"slow": [2.0, 20.0, 2.0], "fast": [1.0, 10.0, 1.0]}
    assert ratio(samples, "slow", "fast") == Spread(2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([3.0], Spread(3.0, 3.0, 3.0), id="one"),
        pytest.param([1.0, 2.0, 3.0, 4.0, 100.0], Spread(3.0, 2.0, 4.0), id="an outlier"),
    ],
)
def test_spread(values: list[float], expected: Spread) -> None:
    assert Spread.of(values) == expected
