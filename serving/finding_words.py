"""What a finding says, in the same English words in the terminal and on a picture."""

from collections.abc import Sequence

from models.findings import Decision


def probability_in_words(probability: float) -> str:
    """Return a `probability`, 0 to 1, with two decimals; none is ever certain."""
    if probability >= 0.995:
        return ">0.99"
    if probability < 0.005:
        return "<0.01"
    return f"{probability:.2f}"


def finding_in_words(
    *,
    decision: Decision,
    probability: float,
    operating_point: float,
    conformal_set: Sequence[str],
    conformal_coverage: float,
) -> tuple[str, ...]:
    """Return the probability, the operating point and, if the model abstains, why it does.

    The arguments are those of `models.findings.Finding`.
    """
    told = (
        f"probability {probability_in_words(probability)}",
        f"(present from {probability_in_words(operating_point)})",
    )
    if decision is not Decision.INDETERMINATE:
        return told
    coverage = f"at {100 * conformal_coverage:g} % coverage"
    return *told, f"abstains: {_abstention(conformal_set, coverage)}"


def _abstention(conformal_set: Sequence[str], coverage: str) -> str:
    match list(conformal_set):
        case []:
            return f"neither present nor absent fits {coverage}"
        case [alone]:
            # Then it is the answer on the other side of the operating point.
            return f"only {alone} fits {coverage}, against the operating point"
        case _:
            return f"present and absent both possible {coverage}"
