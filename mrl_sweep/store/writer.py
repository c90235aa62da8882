"""The thread that writes batches to the store while the next one is being encoded."""

from __future__ import annotations

import queue
import threading
from typing import Any, Final

import numpy.typing as npt

from mrl_sweep.store.layout import Records
from mrl_sweep.store.store import Space
from mrl_sweep.types import IntArray

_Batch = tuple[IntArray, npt.NDArray[Any], Records]
_WAITING: Final = 8


class Pen:
    """Writes in the order of `put`. A failed write is raised by the next call; nothing is written after it."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self.n_written = 0
        self._queue: queue.Queue[_Batch | None] = queue.Queue(_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="mrl-sweep store", daemon=True)
        self._thread.start()

    def put(self, locations: IntArray, vectors: npt.NDArray[Any], records: Records) -> None:
        """Takes a batch; waits while too many are unwritten."""
        self._raise()
        self._queue.put((locations, vectors, records))

    def flush(self) -> None:
        """Returns when everything taken is written."""
        self._queue.join()
        self._raise()

    def close(self) -> None:
        """Writes what was taken and ends the thread."""
        self.end()
        self._raise()

    def end(self) -> None:
        """Ends the thread without complaint, after a failure that is reported already."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            try:
                if self._error is None:
                    self._space.write(*batch)
                    self.n_written += len(batch[0])
            except BaseException as error:  # handed to the caller's thread by the next call
                self._error = error
            finally:
                self._queue.task_done()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
