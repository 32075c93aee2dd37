"""docs/risk-scores.md, made from the tables: `python -m models.risk.reference_page`."""

from collections.abc import Iterator
from pathlib import Path

from models.risk.assessment import NOTICE
from models.risk.column_names import COLUMN_NAMES
from models.risk.input_kinds import Input
from models.risk.inputs import INPUTS, UNCONFIRMED_LOINC
from models.risk.refusals import needed_text
from models.risk.registry import ENABLED_SETTING, SCORES
from models.risk.score import Need, Score
from models.risk.shown import shown, shown_unit

PAGE = Path(__file__).resolve().parents[2] / "docs" / "risk-scores.md"
_FEW = 12

_HEAD = f"""# Risk scores

This page is made from the tables of `models/risk` by `python -m models.risk.reference_page`.

{NOTICE.en} {NOTICE.zh}

```
zhuzhen risk list
zhuzhen risk show china-par
zhuzhen risk score china-par --json '{{"age_years": 58, "sex": "male", ...}}'
```

An answer has a number or refusals, never both: each refusal names the input, what was found and
what is needed. Nothing is imputed. BMI, eGFR (CKD-EPI 2021), the albumin ratio from mg/g and the
totals of questionnaires are derived where all their parts are given, and the answer says so.
Categories are decided on the unrounded value; probabilities are shown with one decimal, and below
1 % as "<1 %". A value closer to a limit than the equation's known error (or than rounding) is
marked as near it.

Contributions are Shapley values on the scale on which the equation adds up (log hazard, log odds,
log, or points) against a stated reference of the same sex: for a linear predictor coefficient times
difference, exactly. What the number would be with an input at its target compares people; it is no
promised effect of treatment, and it is not offered where an equation cannot carry it (waist in men
in China-PAR).

| status | means |
|---|---|
| `ok` | a number |
| `extrapolated` | a number, though an input lies just outside what the equation was made on |
| `missing` | an input that the score needs is missing |
| `not_understood` | no number, word or unit that the input takes |
| `implausible` | outside the plausible range, or two inputs contradict each other |
| `out_of_population` | the score was not made for this person |

Scores that are off are built and verified like the others; an operator who has settled the stated
reason enables them by name: `{ENABLED_SETTING}=prevent,kfre-8`.
"""

_LEFT_OUT = """## Left out

| what | why |
|---|---|
| QRISK3, QDiabetes | calibrated for the UK; ClinRisk's terms demand a text with every score |
| STOP-Bang | proprietary; University Health Network, Toronto, gives permission |
| COPD-PS, CAPTURE | terms not verified, trademarks |
| COPD-SQ | points of its items not found in a source that could be trusted |
| MEWS | variants differ from hospital to hospital; NEWS2 does not |
| China-PAR lifetime risk | its coefficients were not found |
| Chinese stroke screening by eight factors | its rule was not found |
| Chinese risk stratification of hypertension | the guideline's text could not be read |
"""


def render() -> str:
    """Return the page."""
    parts = [_HEAD, "## Scores\n", *_overview(), ""]
    for score in SCORES.values():
        parts += _section(score)
    parts += [_LEFT_OUT, *_inputs(), "", *_other_names(), ""]
    return "\n".join(parts)


def _overview() -> Iterator[str]:
    yield "| id | score | 评分 | on by default |"
    yield "|---|---|---|---|"
    for score in SCORES.values():
        on = "yes" if score.off_because is None else f"no: {score.off_because.en}"
        yield f"| [`{score.id}`](#{score.id}) | {score.title.en} | {score.title.zh} | {on} |"


def _section(score: Score) -> Iterator[str]:
    yield f"### {score.id}\n"
    yield f"{score.title.en} / {score.title.zh}\n"
    horizon = "" if score.horizon_years is None else f", within {score.horizon_years:g} years"
    codes = ", ".join(f"{code.value} {code.display}" for code in score.outcome_codes)
    error = (
        f"{score.known_error:g}{shown_unit(score.unit).en}" if score.known_error else "none known"
    )
    rows = (
        ("outcome", f"{score.outcome.en}{horizon} / {score.outcome.zh}"),
        ("ICD-10", codes),
        ("population", f"{score.population.en} / {score.population.zh}"),
        ("limits", f"{score.limits.en} / {score.limits.zh}"),
        ("formula", f"`{score.formula}`"),
        ("categories", _bands(score)),
        ("defined by", f"{score.guideline.en} / {score.guideline.zh}"),
        ("source", score.citation + (f", doi:{score.doi}" if score.doi else "")),
        ("terms", f"{score.terms.en} / {score.terms.zh}"),
        ("verified against", score.verified),
        ("known deviations", score.deviations),
        ("known error", error),
        ("version", f"`{score.version}`"),
    )
    yield "| | |\n|---|---|"
    yield from (f"| {name} | {text} |" for name, text in rows if text)
    yield "\n| input | needs | if it is absent |\n|---|---|---|"
    for need in score.needs:
        yield f"| `{need.name}` | {_needs(need)} | {_else(need)} |"
    yield ""
    yield from (f"- `{rule.status.word}`: {rule.told.en}" for rule in score.rules)
    yield ""


def _bands(score: Score) -> str:
    unit = shown_unit(score.unit).en
    told = []
    for band in score.bands:
        fixed = band.from_value != float("-inf") and score.edges_of is None
        start = f" from {band.from_value:g}{unit}" if fixed else ""
        told.append(f"`{band.name}` {band.label.zh}{start}")
    return "; ".join(told)


def _needs(need: Need) -> str:
    wider = []
    if need.wider_low is not None:
        wider.append(f"from {need.wider_low:g}")
    if need.wider_high is not None:
        wider.append(f"to {need.wider_high:g}")
    return needed_text(need).en + (f"; extrapolated {' '.join(wider)}" if wider else "")


def _else(need: Need) -> str:
    default = None if need.default is None else shown(need.name, need.default)
    if default is not None:
        return default.en
    return "refused" if need.required else "optional"


def _inputs() -> Iterator[str]:
    yield "## Inputs\n"
    yield 'One name and one unit each; other units as `{"value": 200, "unit": "mg/dL"}` in UCUM,'
    yield 'with `"date"` where it is known. LOINC codes marked † were written from memory.\n'
    yield "| name | label | 名称 | unit | plausible or words | LOINC | derived from | old after |"
    yield "|---|---|---|---|---|---|---|---|"
    for entry in INPUTS.values():
        codes = ", ".join(f"{c}{'†' if c in UNCONFIRMED_LOINC else ''}" for c in entry.loinc)
        parts = ", ".join(f"`{part}`" for part in entry.derived_from)
        old = "" if entry.lasts_days is None else f"{entry.lasts_days} days"
        yield (
            f"| `{entry.name}` | {entry.label.en} | {entry.label.zh} | {entry.unit} | "
            f"{_takes(entry)} | {codes} | {parts} | {old} |"
        )


def _takes(entry: Input) -> str:
    if len(entry.choices) > _FEW:
        return f"{len(entry.choices)} ISO 3166-1 alpha-3 codes"
    return needed_text(Need(entry.name)).en


def _other_names() -> Iterator[str]:
    yield "### Other names of columns\n"
    yield "Tables and objects may use these names, too.\n"
    yield "| name | input | unit |\n|---|---|---|"
    for name, column in COLUMN_NAMES.items():
        unit = column.unit or INPUTS[column.input].unit
        yield f"| `{name}` | `{column.input}` | {unit} |"
    for score in SCORES.values():
        for name, meant in score.column_names.items():
            yield f"| `{name}` (for {score.id}) | `{meant}` | {INPUTS[meant].unit} |"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
