"""List prices of hosted models, for an estimate before anything is sent; the user's own figure goes first."""

from __future__ import annotations

import re
from typing import Final

AS_OF: Final = "May 2026"

_PER_MILLION: Final[tuple[tuple[str, str, float], ...]] = (
    ("openai", r"text-embedding-3-small", 0.02),
    ("openai", r"text-embedding-3-large", 0.13),
    ("voyage", r"voyage-3-large", 0.18),
    ("voyage", r"voyage-3\.5", 0.06),
    ("gemini", r"gemini-embedding-001", 0.15),
)


def list_price(provider: str, model: str) -> float | None:
    """US dollars a million tokens, as the vendor listed it at `AS_OF`; None where we do not know it."""
    return next((price for vendor, name, price in _PER_MILLION if vendor == provider and re.fullmatch(name, model)), None)
