import subprocess
import sys
import threading

import pytest

from handful.workers import Workers


@pytest.mark.parametrize("num_threads", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(num_threads):
    workers = Workers(num_threads)
    assert workers.map(lambda item: 2 * item, range(7)) == [0, 2, 4, 6, 8, 10, 12]
    assert workers.map(lambda item: 2 * item, []) == []
    workers.close()


def test_one_worker_is_the_calling_thread():
    caller = threading.get_ident()
    assert Workers(1).map(lambda _: threading.get_ident(), range(3)) == [caller] * 3


def test_the_calling_thread_works_beside_the_others():
    barrier = threading.Barrier(2, timeout=30)  # passed only by two threads at once

    def meet(_):
        barrier.wait()
        return threading.get_ident()

    first, second = Workers(2).map(meet, range(2))
    assert first == threading.get_ident() != second


def test_every_thread_but_the_calling_one_is_initialized():
    initialized = []
    workers = Workers(2, initializer=lambda: initialized.append(threading.get_ident()))
    caller, other = workers.map(lambda _: threading.get_ident(), range(2))
    assert initialized == [other] and caller != other


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_is_raised_when_all_items_are_done(failing):
    done = threading.Event()

    def work(item):
        if item == failing:
            raise ValueError("this item")
        done.set()

    with pytest.raises(ValueError, match="this item"):
        Workers(2).map(work, range(2))
    assert done.is_set()


def test_the_module_does_not_import_torch():
    program = "import sys, handful.workers; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
