"""What a verdict and a finding say, in the same words wherever people read them."""

from collections.abc import Mapping, Sequence

from models.findings import Decision, Finding, Text, Verdict

VERDICT_WORDS: Mapping[Verdict, Text] = {
    Verdict.ACCEPTED: Text("accepted for reading", "已接受判读"),
    Verdict.OUTSIDE_INTENDED_USE: Text(
        "not read: outside the intended use", "超出预期用途，未予判读"
    ),
    Verdict.OUT_OF_DISTRIBUTION: Text(
        "not read: unlike the images that the model was made for",
        "图像与模型适用范围不符，未予判读",
    ),
    Verdict.UNREADABLE: Text("not read: no image in it that can be read", "图像无法读取，未予判读"),
}
DECISION_WORDS: Mapping[Decision, Text] = {
    Decision.PRESENT: Text("present", "存在"),
    Decision.ABSENT: Text("absent", "不存在"),
    Decision.INDETERMINATE: Text("indeterminate", "无法确定"),
}


def finding_sentence(finding: Finding) -> Text:
    """Return what `finding` says as one sentence."""
    words = finding_in_words(
        decision=finding.decision,
        probability=finding.probability,
        operating_point=finding.operating_point,
        conformal_set=finding.conformal_set,
        conformal_coverage=finding.conformal_coverage,
    )
    decision = DECISION_WORDS[finding.decision]
    probability, threshold, *abstention = words
    english = ", ".join((f"{probability} {threshold}", *abstention))
    chinese = (
        f"概率 {probability_in_words(finding.probability)}"
        f"（达到 {probability_in_words(finding.operating_point)} 视为存在）"
    )
    if abstention:
        chinese += f"；模型不作判断：{_abstention_zh(finding)}"
    return Text(
        f"{finding.name.en}: {decision.en}, {english}",
        f"{finding.name.zh}：{decision.zh}，{chinese}",
    )


def _abstention_zh(finding: Finding) -> str:
    coverage = f"在 {100 * finding.conformal_coverage:g}% 覆盖率下"
    match list(finding.conformal_set):
        case []:
            return f"{coverage}，存在与不存在均不成立"
        case [alone]:
            return f"{coverage}，仅“{DECISION_WORDS[Decision(alone)].zh}”成立，与判定阈值相反"
        case _:
            return f"{coverage}，存在与不存在均有可能"


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
        f"(counts as present from {probability_in_words(operating_point)})",
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
