"""The phrase book, as the report calls it."""

from mrl_sweep.words import DASH, about, asked, count, milliseconds, percent, plural, score, size, times

__all__ = ("DASH", "about", "asked", "count", "milliseconds", "percent", "plural", "score", "size", "times")
