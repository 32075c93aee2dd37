"""Keeping cards and their feedback, and counting them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from models.errors import InputError
from models.risk.assessment import Assessment
from serving.cds_hooks.cards import OVERRIDE_REASONS, Card
from serving.cds_hooks.records import CardFeedback, ShownCard

_OUTCOMES = ("accepted", "overridden")
_MOST = 50
_MOST_COMMENT = 2_000
_REASON_CODES = tuple(code for code, _ in OVERRIDE_REASONS)


def keep_cards(
    engine: Engine,
    service: str,
    institution: str | None,
    shown: list[tuple[Card, Assessment]],
) -> None:
    """Remember which cards were shown, so that feedback on them can be told by score."""
    now = datetime.now(UTC)
    with Session(engine) as session, session.begin():
        for card, assessment in shown:
            session.add(
                ShownCard(
                    id=card["uuid"],
                    service=service,
                    score=assessment.score.id,
                    version=assessment.score.version,
                    indicator=card["indicator"],
                    institution_id=institution,
                    shown_at=now,
                )
            )


def keep_feedback(
    engine: Engine,
    service: str,
    institution: str | None,
    body: Mapping[str, Any],
) -> int:
    """Keep the feedback in `body` and return on how many cards.

    The last feedback on a card counts. Cards of others are not found.

    Raises:
        InputError: it is no feedback (CDS Hooks 2.0), or on a card that was not shown here.
    """
    entries = body.get("feedback")
    if not isinstance(entries, list) or not 0 < len(entries) <= _MOST:
        raise InputError(f'"feedback" must be a list of 1 to {_MOST} entries.')
    with Session(engine) as session, session.begin():
        for entry in entries:
            found = _read(entry)
            card = session.get(ShownCard, found.card_id)
            if card is None or (card.service, card.institution_id) != (service, institution):
                raise InputError("A card of the feedback was not shown by this service.")
            session.merge(found)
    return len(entries)


def _read(entry: object) -> CardFeedback:
    if not isinstance(entry, Mapping) or entry.get("outcome") not in _OUTCOMES:
        raise InputError(f'An entry\'s "outcome" is not one of {", ".join(_OUTCOMES)}.')
    card, when = entry.get("card"), _moment(entry.get("outcomeTimestamp"))
    if not isinstance(card, str) or len(card) != 36 or when is None:
        raise InputError('An entry needs "card", a uuid, and "outcomeTimestamp", with its zone.')
    override = entry.get("overrideReason")
    override = override if isinstance(override, Mapping) else {}
    reason, comment = override.get("reason"), override.get("userComment")
    code = reason.get("code") if isinstance(reason, Mapping) else None
    written = comment[:_MOST_COMMENT] if isinstance(comment, str) and comment else None
    return CardFeedback(
        card_id=card,
        outcome=entry["outcome"],
        reason=code if code in _REASON_CODES else None,
        comment=written,
        outcome_at=when,
        received_at=datetime.now(UTC),
    )


def _moment(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if found is None or found.tzinfo is None:
        return None
    # A clock that runs a little ahead is no reason to lose feedback.
    return found if found <= datetime.now(UTC) + timedelta(days=1) else None


def count_feedback(engine: Engine) -> list[dict[str, Any]]:
    """Return by score and version how many cards were shown, accepted and overridden, and why."""
    shown = select(ShownCard.score, ShownCard.version, func.count().label("shown")).group_by(
        ShownCard.score, ShownCard.version
    )
    told = (
        select(
            ShownCard.score,
            ShownCard.version,
            CardFeedback.outcome,
            CardFeedback.reason,
            func.count().label("cards"),
        )
        .join(CardFeedback, CardFeedback.card_id == ShownCard.id)
        .group_by(ShownCard.score, ShownCard.version, CardFeedback.outcome, CardFeedback.reason)
    )
    with Session(engine) as session:
        rows: dict[tuple[str, str], dict[str, Any]] = {
            (score, version): {
                "score": score,
                "version": version,
                "shown": count,
                "accepted": 0,
                "overridden": 0,
                "reasons": {},
            }
            for score, version, count in session.execute(shown)
        }
        for score, version, outcome, reason, cards in session.execute(told):
            row = rows[score, version]
            row[outcome] += cards
            if outcome == "overridden":
                row["reasons"][reason or "other"] = row["reasons"].get(reason or "other", 0) + cards
    return [rows[key] for key in sorted(rows)]
