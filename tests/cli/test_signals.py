"""SIGTERM is raised in a block as Ctrl-C is, and handled as before behind it."""

from __future__ import annotations

import signal
import threading

import pytest

from camviz.cli.signals import INTERRUPTED, READER_LEFT, TERMINATED, Terminated, terminable


def test_the_statuses_are_those_that_shells_report():
    assert (INTERRUPTED, TERMINATED, READER_LEFT) == (130, 143, 141)


def test_sigterm_within_the_block_only():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), terminable():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
    assert issubclass(Terminated, KeyboardInterrupt)


def test_another_thread_leaves_the_handler_alone():
    seen = []

    def enter() -> None:
        with terminable():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]
