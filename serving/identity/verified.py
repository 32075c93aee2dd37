"""What a credential proves."""

from dataclasses import dataclass
from datetime import datetime

from serving.policy import Actor


@dataclass(frozen=True, slots=True)
class Verified:
    """Who somebody is, until when."""

    actor: Actor
    expires_at: datetime
