"""The packaged collection `pydocs`: what installed packages say of themselves, with two labelled query sets."""

from __future__ import annotations

from mrl_sweep.demo.corpus import SPLITS, load_pydocs

__all__ = ["SPLITS", "load_pydocs"]
