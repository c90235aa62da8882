"""What the libraries raise over a local model, as faults of ours that say what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from mrl_sweep.embedding.local.model_files import ModelFiles, cannot_load
from mrl_sweep.embedding.protocol import ModelOptions
from mrl_sweep.errors import EnvironmentFault, InputError, MrlSweepError


@contextlib.contextmanager
def load_faults(files: ModelFiles, options: ModelOptions) -> Iterator[None]:
    """Whatever the libraries raise while they load, as a fault of ours that says what to do."""
    try:
        yield
    except OSError as error:
        raise cannot_load(files.name, _first_line(error)) from error
    except Exception as error:
        reason = _first_line(error)
        if "trust_remote_code" in str(error):
            raise InputError(
                f"{files.name} needs code from its repository to run",
                "read that code, then pass --trust-remote-code with --revision COMMIT",
            ) from error
        if options.backend != "torch" and ("install" in reason or isinstance(error, ImportError)):
            raise EnvironmentFault(
                f"cannot load {files.name} with --backend {options.backend}: {reason}",
                f"pip install 'sentence-transformers[{options.backend}]'",
            ) from error
        raise EnvironmentFault(
            f"cannot load the model {files.name}: {reason}", "are its files whole? try --device cpu"
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was short: torch's own error by its name, for older backends raise a RuntimeError that only says so."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or "out of memory" in str(error).lower()


def cannot_encode(name: str, error: Exception) -> MrlSweepError:
    """What a library raised over a text, as a fault of ours that names its cause."""
    if isinstance(error, MrlSweepError):
        return error
    if is_out_of_memory(error):
        return EnvironmentFault(
            f"{name}: not enough memory to encode even one text", "--device cpu, or --max-length N to read less of each text"
        )
    if isinstance(error, IndexError):
        return InputError(
            f"{name} cannot encode a text: it has fewer positions or words than the text needs ({_first_line(error)})",
            "--max-length 512, or what the model's card says; else its tokenizer and its weights do not belong together",
        )
    kind = type(error).__name__
    return EnvironmentFault(
        f"{name} failed while encoding: {kind}: {_first_line(error)}",
        "--device cpu, --batch-size 1 or --max-length N may avoid it",
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
