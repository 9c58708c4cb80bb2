"""A thread that lowers its priority lowers nobody else's."""

import os
from concurrent.futures import ThreadPoolExecutor

from exemplar_server.core.priority import LOWEST, NICENESS, lower_priority


def niceness():
    return os.getpriority(os.PRIO_PROCESS, 0)


def test_only_the_thread_that_asks_gets_a_lower_priority():
    before = niceness()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lower_priority).result()
        assert thread.submit(niceness).result() == min(before + NICENESS, LOWEST)
        assert niceness() == before
    with ThreadPoolExecutor(1) as another:
        assert another.submit(niceness).result() == before
