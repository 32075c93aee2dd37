"""Which reviews a manifest holds, counted: what may be told of them where no person is named."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from datasets.reviews import Review


def summary_of(path: Path, reviews: Sequence[Review]) -> dict[str, Any]:
    """Return what the file of reviews at `path` holds, for the evaluation and the data sheet.

    The digest names the file; ids of reviews, readers and patients are in the manifest alone.
    """
    findings = [finding for review in reviews for finding in review.findings]
    times = [review.reading_time_s for review in reviews]
    signed = sorted(review.signed_at for review in reviews)
    return {
        "file_digest": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
        "reviews": len(reviews),
        "images": len({review.sha256 for review in reviews}),
        "patients": len({review.group for review in reviews}),
        "readers": len({review.reader for review in reviews}),
        "signed": [signed[0], signed[-1]],
        "roles": _counted(review.reader_role for review in reviews),
        "actions": _counted(finding.action for finding in findings),
        "reasons": _counted(finding.reason for finding in findings if finding.reason),
        "consent": _counted(review.consent_scope or "not stated" for review in reviews),
        "models": _counted(f"{review.model} {review.version}" for review in reviews),
        "reading_time_s": {"median": median(times), "sum": sum(times)},
    }


def _counted(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def told(summary: Mapping[str, Any]) -> list[str]:
    """Return the lines of Markdown that say which reviews there are, and by what consent."""
    times = summary["reading_time_s"]
    return [
        f"{summary['images']} images of {summary['patients']} patients, reviewed by "
        f"{summary['readers']} readers, {_listed(summary['roles'])}, from {summary['signed'][0]} "
        f"to {summary['signed'][1]}: {_listed(summary['actions'])}"
        + (f"; reasons: {_listed(summary['reasons'])}" if summary["reasons"] else "")
        + f". Reading took {times['median']:g} s in the median, {times['sum'] / 3600:.1f} h in "
        "all.",
        "",
        f"- Consent to training: {_under(summary['consent'])}",
        f"- Reviewed were the pre-reads of {_listed(summary['models'])}",
        f"- File of reviews `{summary['file_digest']}`",
    ]


def section(summary: Mapping[str, Any]) -> list[str]:
    """Return the section of a model's card that says which reviews it was trained on."""
    return [
        "### Reviews 复核",
        "",
        f"Trained on {summary['images']} reviewed images of {summary['patients']} patients, too, "
        "which are in the training part alone. 另含经复核并同意用于训练的图像，仅在训练部分。",
        "",
        *told(summary),
    ]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.items())


def _under(consent: Mapping[str, int]) -> str:
    return ", ".join(f"{count} under `{scope}`" for scope, count in consent.items())
