"""How many of a process's threads read at once."""

import threading

import pytest

from mentions.api.fastpath import Turns


def test_no_more_are_let_in_than_there_are_turns() -> None:
    turns, inside, most = Turns(2), 0, 0
    lock, pair = threading.Lock(), threading.Barrier(2, timeout=5)

    def work() -> None:
        nonlocal inside, most
        with turns:
            with lock:
                inside += 1
                most = max(most, inside)
            # Two at a time meet here: were it one, nobody would come.
            pair.wait()
            with lock:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (inside, most, pair.broken) == (0, 2, False)


def test_a_turn_is_given_back_when_what_it_was_for_fails() -> None:
    turns = Turns(1)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"), turns:
            raise ValueError("broken")
