"""Sentences for people."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence for people, in both languages of the service."""

    en: str
    zh: str
