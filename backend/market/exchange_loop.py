"""An event loop in a thread of its own, so that whoever waits for the network can be told to stop at once."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopClosedError(Exception):
    """What was waited for was given up, because the loop is closed."""


class LoopThread:
    """Runs coroutines for other threads. ``close`` may come from any thread, also while another one waits."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine's result.

        Raises
        ------
        LoopClosedError
            If the loop is closed, before or meanwhile.
        """
        if self._closed.is_set():
            work.close()
            raise LoopClosedError
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except (concurrent.futures.CancelledError, RuntimeError) as error:
            if self._closed.is_set():
                work.close()
                raise LoopClosedError from error
            raise

    def close(self, farewell: Coroutine[Any, Any, object]) -> None:
        """Give up what is under way, run a last coroutine, end the thread."""
        if self._closed.is_set():
            farewell.close()
            return
        self._closed.set()
        asyncio.run_coroutine_threadsafe(self._end(farewell), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _end(self, farewell: Coroutine[Any, Any, object]) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await farewell
