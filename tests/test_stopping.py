"""Ctrl-C that waits for the end of a step."""

import signal
import threading

import pytest

from helpers.stopping import StopBetweenSteps


@pytest.fixture
def stopping():
    before = signal.getsignal(signal.SIGINT)
    stopping = StopBetweenSteps()
    yield stopping
    stopping.end()
    assert signal.getsignal(signal.SIGINT) is before


def test_nothing_happens_until_the_step_is_done(stopping):
    stopping.ask()
    signal.raise_signal(signal.SIGINT)
    step = sum(range(100))
    assert step == 4950
    with pytest.raises(KeyboardInterrupt):
        stopping.ask()


def test_who_presses_twice_does_not_wait(stopping):
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_afterwards_ctrl_c_is_what_it_was():
    stopping = StopBetweenSteps()
    stopping.end()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    stopping.ask()


def test_in_a_thread_it_does_nothing():
    found = []
    thread = threading.Thread(target=lambda: found.append(StopBetweenSteps()))
    before = signal.getsignal(signal.SIGINT)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before
    found[0].ask()
    found[0].end()
