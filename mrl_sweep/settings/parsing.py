"""Parsers of settings as people write them, one per kind; each raises InputError, with the accepted forms, for all else."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

from mrl_sweep.errors import InputError
from mrl_sweep.types import ADVICE_CODES, FLOAT32
from mrl_sweep.words import asked_share, did_you_mean, printable

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

SHARE_FORMS: Final = "write the share to keep: 0.98 or 98%"
LEVEL_FORMS: Final = "write 0.05 or 5% for 95% confidence"
LEAST_LEVEL: Final = 1e-6
"""Below this, the distributions' tails are no longer computed to the digits that a bound needs."""
LOSS_FORMS: Final = "write the loss allowed: 0.01 or 1%"
COUNT_FORMS: Final = "write 10000000, 10M, 500k or 1.5B"
DIMS_FORMS: Final = "write auto, a list such as 64,128,256, or every:8"

MOST: Final = 2**31 - 1

DEVICES: Final = ("cpu", "cuda", "mps", "xpu", "npu", "hpu", "xla", "musa", "mtia")
"""Kinds of devices that torch runs a model on."""

OBJECT_STORES: Final = ("s3", "gs")
"""The schemes of addresses at which a store can lie."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b", re.IGNORECASE)
_COUNT = re.compile(r"(\d+(?:\.\d+)?(?:e\d+)?)\s*([kmb]?)", re.IGNORECASE)
_STEPS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_THOUSANDS: Final = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}


def parse_share(value: object) -> float:
    """Reads a share to keep, in [0.5, 1]: `0.98` or `"98%"`. A share below one half is refused, for it reads as a loss ("2%")."""
    share = _fraction(value, SHARE_FORMS)
    if share > 1 and (share >= 50 or str(value).rstrip().endswith("%")):
        raise InputError(
            f"{value} is not a share between 0 and 1",
            f"write {asked_share(share / 100)} or {_plain(share / 100)}" if 50 <= share <= 100 else SHARE_FORMS,
        )
    if share < 0.5 or share > 1:
        loss = share if share < 0.5 else share / 100
        keep = f"to lose at most {asked_share(loss)}, write {_plain(1 - loss)} or {asked_share(1 - loss)}"
        raise InputError(f"{value} reads as what may be lost, not as what must be kept", keep)
    return share


def parse_loss(value: object) -> float:
    """Reads a loss that is still allowed, in [0, 0.5): `0.01` or `"1%"`. One half and more is refused: it reads as a share."""
    loss = _fraction(value, LOSS_FORMS)
    if not 0 <= loss < 0.5:
        raise InputError(f"{value} is not a loss that can be allowed", LOSS_FORMS)
    return loss


def parse_level(value: object) -> float:
    """Reads an error rate, in [1e-6, 0.5): `0.05` or `"5%"`. A confidence ("95%") is refused."""
    level = _fraction(value, LEVEL_FORMS)
    if not LEAST_LEVEL <= level < 0.5:
        raise InputError(f"{value} is not an error rate", LEVEL_FORMS)
    return level


def parse_number(value: object) -> float:
    """Reads a number, 0 or more: a price, a rate; the currency is the user's."""
    try:
        number = float(str(value).strip())
    except ValueError:
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number) or number < 0:
        raise InputError(f"{value!r} is not a number of 0 or more", "write a number such as 0.02")
    return number


def parse_above_zero(value: object) -> float:
    """Reads a number above 0: nothing stays within a budget of 0."""
    number = parse_number(value)
    if number == 0:
        raise InputError(f"{value} is a budget that nothing keeps", "write a number above zero")
    return number


def parse_size(value: object) -> int:
    """Reads bytes, from `"4GiB"` (powers of 1024) or `"4GB"` (powers of 1000)."""
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise InputError(f"{value} is not a size", "write a number and a unit: 4GiB, 512MiB, 16GB")
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** _STEPS[match[2].lower()])


def parse_count(value: object) -> int:
    """Reads a count above 0, from a whole number, `"10M"`, `"500k"`, `"1.5B"` or `"1,000,000"`."""
    text = str(value).replace(",", "").replace("_", "").strip()
    match = None if isinstance(value, bool) else _COUNT.fullmatch(text)
    if match is None:
        raise InputError(f"{value} is not a count", COUNT_FORMS)
    count = float(match[1]) * _THOUSANDS[match[2].lower()]
    if count != int(count) or count < 1:
        raise InputError(f"{value} is not a whole number above zero", COUNT_FORMS)
    return int(count)


def format_size(size_bytes: float) -> str:
    """Writes `4GiB`, `1.5GiB`, `512MiB`: the shortest form that `parse_size` reads back, to four digits."""
    for unit in ("GiB", "MiB", "KiB"):
        step = 1024 ** _STEPS[unit[0].lower()]
        if size_bytes >= step:
            return f"{size_bytes / step:.4g}{unit}"
    return f"{size_bytes:.0f}B"


def _fraction(value: object, forms: str) -> float:
    """Reads a number, 0 or more, as written, "98%" as 0.98; NaN, Inf, truth values and text are refused."""
    text = str(value).strip()
    try:
        number = float(Decimal(text.removesuffix("%")) / (100 if text.endswith("%") else 1))
    except InvalidOperation:
        raise InputError(f"{value!r} is not a number", forms) from None
    if isinstance(value, bool) or not math.isfinite(number) or number < 0:
        raise InputError(f"{value!r} is not usable here", forms)
    return number


def _plain(number: float) -> str:
    return f"{round(number, 6):g}"


def parse_text(value: object) -> str:
    """Reads a text that is not empty and holds no NUL character."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{value!r} is not a text", "write it between quotes")
    if "\0" in value:
        raise InputError(f"{printable(value)} holds a NUL character, which no name can", "leave it out")
    return value


def parse_sources(value: object) -> str | tuple[str, ...]:
    """Reads one collection, or a list of several; their names may hold commas, so a string is always one."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return parse_text(value)
    sources = tuple(parse_text(item) for item in value)
    twice = next((source for i, source in enumerate(sources) if source in sources[:i]), None)
    if twice is not None:
        raise InputError(f"the collection {twice} is named twice", "name each once: an average would count it double")
    return sources[0] if len(sources) == 1 else sources


def parse_path(value: object) -> Path:
    """Reads a path, its `~` expanded."""
    return value if isinstance(value, Path) else Path(parse_text(value)).expanduser()


def parse_store(value: object) -> Path | str:
    """Reads a folder (also as `file://`), or the address of an object store as it is written."""
    if isinstance(value, Path) or "://" not in (text := parse_text(value)):
        return parse_path(value)
    scheme, _, rest = text.partition("://")
    if scheme == "file":
        return Path(unquote(urlsplit(text).path))
    if scheme not in OBJECT_STORES or not rest.strip("/"):
        forms = "--store FOLDER, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or file:///FOLDER"
        raise InputError(f"a store cannot lie at {text}", forms)
    return text.rstrip("/")


def parse_flag(value: object) -> bool:
    """Reads true or false, also as `yes`, `on`, `1` and their opposites."""
    if isinstance(value, bool):
        return value
    spelled = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if isinstance(value, str) and value.lower() in spelled:
        return spelled[value.lower()]
    raise InputError(f"{value!r} is neither true nor false", "write true or false")


def parse_positive(value: object) -> int:
    """Reads a whole number above zero, up to `MOST`."""
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise InputError(f"{value!r} is not a whole number above zero", "write 1, 2, 3 ...")
    if number > MOST:
        raise InputError(f"{printable(str(number), 40)} is more than anything here can be", f"write a number up to {MOST:,}")
    return number


def choice_of(kind: type[E]) -> Callable[[object], E]:
    """Makes a parser of the values of `kind`, whatever their case."""

    def parse(value: object) -> E:
        try:
            return kind(str(value).lower())
        except ValueError:
            accepted = [member.value for member in kind]
            near = did_you_mean(str(value), accepted, spelt=repr)
            raise InputError(f"{value!r} is not accepted", f"{near} write one of: {', '.join(accepted)}".lstrip()) from None

    return parse


def parse_code(value: object) -> str:
    """Reads the code of an advice, spelled as docs/codes.md lists it."""
    text = parse_text(value).strip()
    if text not in ADVICE_CODES:
        near = did_you_mean(text, ADVICE_CODES, spelt=repr)
        raise InputError(f"{printable(text, 40)!r} is no code of a warning", f"{near} docs/codes.md lists them".lstrip())
    return text


def parse_device(value: object) -> str:
    """Reads a device as torch names it; whether this machine has it, torch tells when the model is opened."""
    text = parse_text(value).strip().lower()
    kind, colon, number = text.partition(":")
    if kind not in DEVICES or (colon and not number.isdecimal()):
        near = did_you_mean(kind, DEVICES, spelt=lambda name: repr(name + colon + number))
        raise InputError(f"{printable(text, 40)!r} is no device", f"{near} write cpu, cuda, cuda:1 or mps".lstrip())
    return text


def list_of(parse: Callable[[str], T], separators: str = ",") -> Callable[[object], tuple[T, ...]]:
    """Makes a reader of lists: a TOML list, or one string cut at the separators; repeats are dropped, the order is kept."""

    def read(value: object) -> tuple[T, ...]:
        parts = [value] if isinstance(value, str) else value
        if not isinstance(parts, Sequence):
            parts = [parts]
        pieces = (piece.strip() for part in parts for piece in re.split(f"[{separators}\n]", str(part)))
        return tuple(dict.fromkeys(parse(piece) for piece in pieces if piece))

    return read


def some(parse: Callable[[object], tuple[T, ...]], what: str, forms: str) -> Callable[[object], tuple[T, ...]]:
    """Makes a reader of lists that must not be empty; `what` names one item in the message."""

    def read(value: object) -> tuple[T, ...]:
        items = parse(value)
        if not items:
            raise InputError(f"at least {what} is needed", forms)
        return items

    return read


def parse_dims(value: object) -> str | tuple[int, ...]:
    """Reads `"auto"`, `"every:N"`, or sizes; returns sizes from large to small without repeats."""
    text = value.strip().lower() if isinstance(value, str) else ""
    if text == "auto" or (text.startswith("every:") and text[6:].isdecimal() and int(text[6:]) > 0):
        return text
    sizes = list_of(_size_of_prefix, ", ")(value)
    if not sizes:
        raise InputError("no size given", DIMS_FORMS)
    return tuple(sorted(sizes, reverse=True))


def _size_of_prefix(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{text!r} is not a number of dimensions", DIMS_FORMS)
    return int(text)


def parse_indexes(value: object) -> tuple[str, ...]:
    """Reads FAISS factory strings, which contain commas: one string is cut at spaces and semicolons. `none` is ()."""
    specs = list_of(str, "; ")(value)
    if "none" in (spec.lower() for spec in specs):
        if len(specs) > 1:
            raise InputError("none cannot be combined with other indexes", "write none alone, or leave it out")
        return ()
    return specs


def parse_precisions(value: object) -> tuple[str, ...]:
    """Reads names of precisions, `all` standing for the usual six; float32, which others are held against, comes first."""
    from mrl_sweep.ranking.codes.precision import ALL, parse_precision

    words = list_of(str, ", ")(value)
    named = [name for word in words for name in (ALL if word.lower() == "all" else (parse_precision(word),))]
    return tuple(dict.fromkeys((FLOAT32, *named)))


def parse_rescore(text: str) -> str:
    """Reads `4x` or `4x@768`, and returns it as a configuration writes it."""
    from mrl_sweep.ranking.rescore import Rescore

    return str(Rescore.parse(text))
