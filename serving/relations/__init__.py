"""On what grounds an institution sees another one's patient: referral, consent, emergency."""

from serving.relations.break_glass import (
    BreakGlassError,
    break_glass,
    find_override,
    list_overrides,
    review_override,
)
from serving.relations.grounds import Grounds
from serving.relations.referrals import ReferralError, close_referral, list_referrals, refer

__all__ = [
    "BreakGlassError",
    "Grounds",
    "ReferralError",
    "break_glass",
    "close_referral",
    "find_override",
    "list_overrides",
    "list_referrals",
    "refer",
    "review_override",
]
