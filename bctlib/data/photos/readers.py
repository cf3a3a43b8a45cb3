"""Worker processes that read batches of images, each connected to this process by a pair of unnamed sockets.

They need nothing else of the machine: no shared memory (a container has 64 MB), no semaphore, no socket in a temporary
folder (its path may be too long). When a worker dies for any reason, its sockets close and no process waits for it.
"""

import multiprocessing
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Protocol

import numpy as np
import torch

from bctlib.base.errors import BctError

_LENGTH = struct.Struct("!i")  # of the sentence that stands for a batch that failed; 0: the batch follows
_BUFFER = 1 << 20
_JOIN_S = 5.0
_LOOK_S = 1.0


class Died(Exception):
    """A worker ended before its batches were read; says how."""


class Source(Protocol):
    """What a worker reads: `fill` writes the images at those positions into `out`, uint8 [n,...].

    made_in_script: whether a worker must import the script that runs, as something in this object is defined there.
    """

    @property
    def made_in_script(self) -> bool: ...

    def fill(self, positions: np.ndarray, out: np.ndarray) -> None: ...


def can_start() -> bool:
    """Whether this process may have workers: not if it is a daemon of another one or is just being started itself."""
    process = multiprocessing.current_process()
    return not process.daemon and not getattr(process, "_inheriting", False)


class Reader:
    """One worker. source: what it reads; batches: positions of each; shape: of one image, uint8."""

    def __init__(self, source: Source, batches: Sequence[np.ndarray], shape: tuple[int, ...]):
        self._ours, self._theirs = socket.socketpair()
        for end in (self._ours, self._theirs):
            for side in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                end.setsockopt(socket.SOL_SOCKET, side, _BUFFER)
        self._process = multiprocessing.Process(
            target=_work, args=(source, batches, shape, self._theirs), name="image reader", daemon=True
        )
        self._poll = select.poll()

    def start(self) -> None:
        """Let it read. Raises OSError where the machine has no process to give."""
        self._process.start()
        self._theirs.close()  # else the sockets would not end with the worker
        self._poll.register(self._ours, select.POLLIN)
        self._poll.register(self._process.sentinel, select.POLLIN)

    def receive(self, out: np.ndarray) -> None:
        """Fill uint8 `out` with the next batch. Raises BctError that says what failed, and Died."""
        length = bytearray(_LENGTH.size)
        self._fill(memoryview(length))
        (n,) = _LENGTH.unpack(length)
        if n:
            sentence = bytearray(n)
            self._fill(memoryview(sentence))
            raise BctError(sentence.decode(errors="surrogateescape"))
        self._fill(memoryview(out).cast("B"))

    def _fill(self, left: memoryview) -> None:
        while left:
            ready = {file for file, _ in self._poll.poll()}
            n = 0
            if self._ours.fileno() in ready:
                with suppress(ConnectionError):
                    n = self._ours.recv_into(left)
            if not n:
                self._process.join(_JOIN_S)
                status = self._process.exitcode
                raise Died(f"signal {-status}" if status and status < 0 else f"exit status {status}")
            left = left[n:]

    def stop(self) -> None:
        """End the worker, whatever it is doing: it only reads, so that nothing is lost."""
        self._ours.close()
        self._theirs.close()
        if self._process.pid is not None:
            self._process.kill()
            self._process.join(_JOIN_S)  # not for ever: a process that waits for a disk cannot be killed


@contextmanager
def started(
    source: Source, batches: Sequence[np.ndarray], shape: tuple[int, ...], workers: int
) -> Iterator[list[Reader]]:
    """Workers that read by turns: batch i comes from worker i modulo `workers`. They end with the block.

    Raises BctError where the machine cannot start them.
    """
    readers: list[Reader] = []
    try:
        if workers:
            with _start_refused(workers), _script_left_alone(source), _interrupts_later():
                for number in range(workers):
                    readers.append(Reader(source, batches[number::workers], shape))
                    readers[-1].start()
        yield readers
    finally:
        for reader in readers:
            reader.stop()


@contextmanager
def _start_refused(workers: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BctError(
            f"cannot start {workers} processes that read images ({error.strerror or error}): "
            "use fewer workers, or none (0)"
        ) from error


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Ctrl-C waits for the end of the block, and never reaches a worker, which would show a traceback.

    Raised in the middle of a fork it could get lost in a hook, or leave a worker that no process ends.
    """
    if multiprocessing.get_start_method() != "fork":
        resource_tracker.ensure_running()  # its start would let interrupts through again
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # workers inherit it, other threads do not
    handler, came = signal.getsignal(signal.SIGINT), []
    in_main = handler is not None and threading.current_thread() is threading.main_thread()
    try:
        if in_main:
            signal.signal(signal.SIGINT, lambda *_: came.append(True))
        yield
    finally:
        if in_main:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _script_left_alone(source: Source) -> Iterator[None]:
    """Workers that do not come from a fork run the user's script again, to its end, unless they cannot find it.

    They need nothing of it, and a script without `if __name__ == "__main__"` would train once more in each worker.
    """
    main = sys.modules["__main__"]
    kept = {name: vars(main)[name] for name in ("__spec__", "__file__") if name in vars(main)}
    if multiprocessing.get_start_method() == "fork" or source.made_in_script:
        yield
        return
    main.__spec__ = None
    vars(main).pop("__file__", None)
    try:
        yield
    finally:
        vars(main).update(kept)


def _work(source: Source, batches: Sequence[np.ndarray], shape: tuple[int, ...], to: socket.socket) -> None:
    """What a worker does: sends each batch, or the sentence that says what failed, which is the last."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the parent's handler
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(1)
    with suppress(ConnectionError):  # the parent wants no more
        for positions in batches:
            try:
                batch = np.empty((len(positions), *shape), np.uint8)
                source.fill(positions, batch)
            except Exception as error:
                sentence = str(error) if isinstance(error, BctError) else f"{type(error).__name__} in reading: {error}"
                content = sentence.encode(errors="surrogateescape")
                to.sendall(_LENGTH.pack(len(content)) + content)
                return
            to.sendall(_LENGTH.pack(0))
            to.sendall(batch)


def _end_with(parent: int) -> None:
    """End this process soon after its parent, also while it waits to send a batch."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)
