"""A model of people: from named inputs with units to a risk and what each input adds to it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnxruntime as ort

from models.errors import InputError, PackageInvalidError
from models.findings import Code, Decision, ModelReference, Reason, Text, Verdict
from models.intended_use import check
from models.observation import COMPONENTS
from models.package import ModelPackage
from models.radiograph import RadiographFacts
from models.table import Given, Vector
from serving.answers import NOTICE

_INPUT = "inputs"
_OUTPUTS = ("logits", "contributions", "baseline", "embedding")
_ANSWER = "people"


@dataclass(frozen=True, slots=True)
class Contribution:
    """One input as it was used, with what it adds."""

    name: str
    label: Text
    value: float | str | None
    """None where it is missing: it then adds nothing."""
    unit: str
    log_odds: float
    """What it adds to the log-odds, against the average of the training data."""


@dataclass(frozen=True, slots=True)
class Risk:
    """One outcome with its probability."""

    label: str
    name: Text
    codes: tuple[Code, ...]
    probability: float
    """Calibrated, 0 to 1, within the horizon where there is one."""
    operating_point: float
    decision: Decision
    conformal_set: tuple[str, ...]
    conformal_coverage: float
    contributions: tuple[Contribution, ...]
    """Of every input, in the model's order; with `baseline_log_odds` they sum to `log_odds`."""
    baseline_log_odds: float
    log_odds: float
    """Of the model, before it is calibrated."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a model of people says of one person."""

    model: ModelReference
    verdict: Verdict
    reasons: tuple[Reason, ...]
    risks: tuple[Risk, ...]
    """None where the verdict is not `accepted`."""
    horizon_years: float | None
    missing: tuple[str, ...] = ()
    unusual: tuple[str, ...] = ()
    """Inputs outside what nearly all of the training data show: their curves are constant there."""
    ood_score: float | None = None
    """Distance from the people that the model was made on, 1.0 at the refusal threshold."""
    position: tuple[float, ...] = ()
    """Of the inputs together; see `models.observation`. Empty where the model was not asked."""


class TabularModel:
    """One package of a model of people, ready to assess; may be used from several threads."""

    def __init__(self, package: ModelPackage) -> None:
        """Open the graph of `package`.

        Raises:
            PackageInvalidError: it is a model of images, or its graph does not fit.
        """
        self.package = package
        self._spec = package.table_spec
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = ort.InferenceSession(
                str(package.onnx_path), options, providers=["CPUExecutionProvider"]
            )
            empty = np.full((1, len(self._spec.inputs)), np.nan, np.float32)
            shapes = [each.shape for each in self._run(empty)]
        # The exceptions of ONNX Runtime have no base of their own.
        except Exception as error:
            raise PackageInvalidError(
                f"{package.reference_to.name} {package.reference_to.version}: the graph cannot be "
                "run on its inputs; build the package anew."
            ) from error
        expected = (1, len(self._spec.inputs))
        if shapes[0] != (1, len(package.labels)) or shapes[1] != expected or shapes[3] != expected:
            raise PackageInvalidError(
                f"{package.reference_to.name}: the graph answers with shapes {shapes}, which do "
                "not fit its inputs and labels; build the package anew."
            )

    def assess(self, given: Mapping[str, Given]) -> Assessment:
        """Assess the person whose inputs are `given` by name; whatever they are, it is an answer.

        Names that the model does not take are left aside.
        """
        try:
            vector = self._spec.vector(given)
        except InputError as error:
            return self._refused(Verdict.UNREADABLE, (_not_usable(error),))
        broken, told = self._by_use(vector)
        if broken:
            return self._refused(Verdict.OUTSIDE_INTENDED_USE, broken + told)
        logits, contributions, baseline, embedding = self._run(vector.values[np.newaxis])
        score = float(self.package.reference.score(embedding)[0])
        position = tuple(self.package.reference.position(embedding, COMPONENTS)[0].tolist())
        if not score <= 1.0:
            far = self._refused(Verdict.OUT_OF_DISTRIBUTION, (_too_far(score), *told), score)
            return replace(far, position=position)
        return Assessment(
            self.package.reference_to,
            Verdict.ACCEPTED,
            told,
            self._risks(vector, logits, contributions[0], float(baseline[0])),
            self._spec.horizon_years,
            vector.missing,
            vector.unusual,
            score,
            position,
        )

    def _run(self, values: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        found: list[np.ndarray[Any, Any]] = self._session.run(list(_OUTPUTS), {_INPUT: values})
        return found

    def _by_use(self, vector: Vector) -> tuple[tuple[Reason, ...], tuple[Reason, ...]]:
        """Return what breaks the intended use, and what else must be said."""
        names = [each.name for each in self._spec.inputs]
        age = float(vector.values[names.index("age_years")]) if "age_years" in names else None
        known = None if age is None or age != age else age
        checked = check(self.package.rules, RadiographFacts(_ANSWER, age_years=known))
        unusual = tuple(_unusual(name) for name in vector.unusual)
        return checked.broken, checked.marginal + checked.unchecked + unusual

    def _risks(
        self,
        vector: Vector,
        logits: np.ndarray[Any, Any],
        added: np.ndarray[Any, Any],
        baseline: float,
    ) -> tuple[Risk, ...]:
        contributions = tuple(
            Contribution(
                each.name,
                each.label,
                _shown(float(value), each.categories),
                each.unit,
                float(log_odds),
            )
            for each, value, log_odds in zip(self._spec.inputs, vector.values, added, strict=True)
        )
        probabilities = self.package.calibration.probabilities(logits)[0]
        return tuple(
            Risk(
                label=label.label,
                name=label.name,
                codes=label.codes,
                probability=float(probability),
                operating_point=label.calibration.operating_point,
                decision=label.calibration.decide(float(probability)),
                conformal_set=label.calibration.conformal_set(float(probability)),
                conformal_coverage=label.calibration.conformal_coverage,
                contributions=contributions,
                baseline_log_odds=baseline,
                log_odds=float(logit),
            )
            for label, probability, logit in zip(
                self.package.labels, probabilities, logits[0], strict=True
            )
        )

    def _refused(
        self, verdict: Verdict, reasons: tuple[Reason, ...], score: float | None = None
    ) -> Assessment:
        reference, horizon = self.package.reference_to, self._spec.horizon_years
        return Assessment(reference, verdict, reasons, (), horizon, ood_score=score)


def _shown(value: float, categories: tuple[str, ...]) -> float | str | None:
    if value != value:
        return None
    return categories[int(value)] if categories else value


def _not_usable(error: InputError) -> Reason:
    message = Text(str(error), f"输入无法使用：{error}")
    return Reason("inputs", None, None, message)


def _unusual(name: str) -> Reason:
    message = Text(
        f"{name} is outside what nearly all of the training data show; it counts as the nearest "
        "value that they do",
        f"{name} 超出几乎全部训练数据的范围，按最接近的已有取值计算",
    )
    return Reason(name, None, None, message)


def _too_far(score: float) -> Reason:
    found = f"{score:.2f}"
    message = Text(
        "the inputs together do not look like those of the people the model was made on: they "
        f"differ from them {found} times as much as is allowed; check units and decimal points",
        f"各项输入合起来与模型所依据的人群差异过大：差异为允许上限的 {found} 倍；"
        "请检查单位与小数点",
    )
    return Reason("input_distance", found, "at most 1", message)


def assessment_answer(assessment: Assessment, *, source: str, intended_use: Text) -> dict[str, Any]:
    """Return the answer on one person, whom the sender calls `source`, for JSON."""
    return {
        "input": source,
        "model": assessment.model.name,
        "version": assessment.model.version,
        "digest": assessment.model.digest,
        "verdict": assessment.verdict.value,
        "reasons": [reason.message.en for reason in assessment.reasons],
        "reason_details": [
            {
                "rule": reason.rule,
                "found": reason.found,
                "expected": reason.expected,
                "message": {"en": reason.message.en, "zh": reason.message.zh},
            }
            for reason in assessment.reasons
        ],
        "findings": [_risk(risk) for risk in assessment.risks],
        "horizon_years": assessment.horizon_years,
        "missing": list(assessment.missing),
        "out_of_distribution_score": (
            None if assessment.ood_score is None else round(assessment.ood_score, 6)
        ),
        "intended_use": {"en": intended_use.en, "zh": intended_use.zh},
        "notice": {"en": NOTICE.en, "zh": NOTICE.zh},
    }


def _risk(risk: Risk) -> dict[str, Any]:
    return {
        "label": risk.label,
        "name": {"en": risk.name.en, "zh": risk.name.zh},
        "codes": [
            {"system": code.system, "code": code.value, "display": code.display}
            for code in risk.codes
        ],
        "probability": round(risk.probability, 6),
        "operating_point": round(risk.operating_point, 6),
        "decision": risk.decision.value,
        "conformal_set": list(risk.conformal_set),
        "conformal_coverage": risk.conformal_coverage,
        "baseline_log_odds": round(risk.baseline_log_odds, 6),
        "log_odds": round(risk.log_odds, 6),
        "contributions": [
            {
                "name": each.name,
                "label": {"en": each.label.en, "zh": each.label.zh},
                "value": each.value if not isinstance(each.value, float) else round(each.value, 6),
                "unit": each.unit,
                "log_odds": round(each.log_odds, 6),
            }
            for each in risk.contributions
        ],
    }
