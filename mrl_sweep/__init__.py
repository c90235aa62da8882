"""mrl-sweep: the smallest acceptable dimension of a Matryoshka embedding model, on your corpus, with evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mrl_sweep.api import run
    from mrl_sweep.report.document import Report
    from mrl_sweep.settings.config import SweepConfig

__version__ = "0.1.0"
__all__ = ["Report", "SweepConfig", "__version__", "run"]

_HOMES = {"run": "mrl_sweep.api", "Report": "mrl_sweep.report.document", "SweepConfig": "mrl_sweep.settings.config"}


def __dir__() -> list[str]:
    """Returns the public names, also those that are not imported yet."""
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """Imports a public name when it is asked for, so that `--help` needs neither numpy nor FAISS."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
