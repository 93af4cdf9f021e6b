"""The threads that compute: turns, fairness, and lateness."""

import asyncio
import threading
import time

import numpy as np
import pytest
from server.serving import run_apart

from elman.decode.predictor import Wanted
from elman.server.limits import MAX_LATE
from elman.server.metrics import Metrics
from elman.server.workers import COMPANY, Workers


def test_a_long_job_delays_others_by_one_turn():
    order = []

    def job(name, turns):
        for turn in range(turns):
            order.append(name)
            yield turn

    async def both():
        workers = Workers(1, Metrics())

        async def all_of(name, turns):
            return [each async for each in workers.run(job(name, turns))]

        found = await asyncio.gather(all_of("long", 50), all_of("short", 3))
        workers.close()
        return found

    assert run_apart(both()) == [list(range(50)), list(range(3))]
    assert order[:6] == ["long", "short"] * 3


def test_the_loop_goes_on_while_threads_compute():
    async def main():
        workers, ticks = Workers(2, Metrics()), 0
        work = asyncio.create_task(workers.call(lambda: time.sleep(0.5)))
        while not work.done():
            await asyncio.sleep(0.01)
            ticks += 1
        workers.close()
        return ticks

    assert run_apart(main()) > 15


def test_lateness_is_that_of_the_next_turn():
    async def main():
        workers, gate = Workers(1, Metrics()), threading.Event()
        assert workers.late == 0
        jobs = [asyncio.create_task(workers.call(gate.wait)) for _ in range(3)]
        await asyncio.sleep(MAX_LATE + 0.1)
        late = workers.late
        gate.set()
        await asyncio.gather(*jobs)
        assert workers.late == 0
        workers.close()
        return late

    assert MAX_LATE < run_apart(main()) < MAX_LATE + 0.5


def test_a_job_is_finished_turn_by_turn():
    def job():
        yield
        yield
        return "done"

    async def main():
        workers = Workers(1, Metrics())
        found = await workers.finish(job())
        workers.close()
        return found

    assert run_apart(main()) == "done"


def test_what_a_job_raises_is_raised():
    def job():
        yield 1
        raise ValueError("so")

    async def main():
        workers, found = Workers(1, Metrics()), []
        try:
            async for each in workers.run(job()):
                found.append(each)
        except ValueError as error:
            found.append(str(error))
        workers.close()
        return found

    assert run_apart(main()) == [1, "so"]


def test_who_is_cancelled_while_waiting_waits_no_more():
    async def main():
        workers, gate = Workers(1, Metrics()), threading.Event()
        running = asyncio.create_task(workers.call(gate.wait))
        await asyncio.sleep(0.05)
        waiting = asyncio.create_task(workers.call(lambda: None))
        await asyncio.sleep(0.05)
        before = workers.late
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        after = workers.late
        gate.set()
        await running
        return before, after, await workers.call(lambda: "next")

    before, after, found = run_apart(main())
    assert before > 0.04 and after < 0.01 and found == "next"


class Doubler:
    """A predictor that says twice the state; it counts its products, and hates a token."""

    vocabulary = range(2)  # it has a length

    def __init__(self, hated=-1):
        self.products, self._hated = [], hated

    def advance(self, state, tokens):
        self.products.append(len(tokens))
        if self._hated in tokens:
            raise ValueError(f"not {self._hated}")
        return np.repeat(2.0 * state, 2, axis=1), state + 1

    def select(self, state, rows):
        return state[rows]

    def join(self, states):
        return np.concatenate(states)


def searching(predictor, token, times):
    """A job whose one turn wants several timesteps, one after the other."""
    state, said = np.full((1, 1), float(token)), []
    for _ in range(times):
        log_probs, state = yield Wanted(predictor, state, np.array([token], np.int32))
        said.append(float(log_probs[0, 0]))
    return said


def in_company(jobs):
    """What jobs give that all wait when a thread becomes free, errors among it."""

    async def main():
        workers, gate = Workers(1, Metrics()), threading.Event()
        held = asyncio.create_task(workers.call(gate.wait))
        await asyncio.sleep(0.05)
        tasks = [asyncio.create_task(workers.finish(job)) for job in jobs]
        await asyncio.sleep(0.05)
        gate.set()
        await held
        found = await asyncio.gather(*tasks, return_exceptions=True)
        workers.close()
        return found

    return run_apart(main())


def test_what_several_turns_want_is_one_product():
    one, other = Doubler(), Doubler()
    jobs = [searching(one, token, 3) for token in range(COMPANY - 1)] + [searching(other, 9, 2)]
    found = in_company(jobs)
    assert found == [[2.0 * token, 2.0 * token + 2, 2.0 * token + 4] for token in range(7)] + [
        [18.0, 20.0]
    ]
    assert one.products == [COMPANY - 1] * 3 and other.products == [1, 1]


def test_a_company_has_a_size_and_others_come_when_one_has_ended():
    predictor = Doubler()
    found = in_company([searching(predictor, token, 2) for token in range(COMPANY + 2)])
    assert found == [[2.0 * token, 2.0 * token + 2] for token in range(COMPANY + 2)]
    assert predictor.products == [COMPANY, COMPANY, 2, 2]


def test_one_that_fails_in_company_fails_alone():
    predictor = Doubler(hated=2)
    found = in_company([searching(predictor, token, 2) for token in range(4)])
    assert [found[0], found[1], found[3]] == [[0.0, 2.0], [2.0, 4.0], [6.0, 8.0]]
    assert isinstance(found[2], ValueError) and str(found[2]) == "not 2"
    assert predictor.products[-1] == 3  # the others went on together


def test_a_turn_that_wants_nothing_delays_a_company_once():
    predictor, order = Doubler(), []

    def long(name):
        order.append(name)
        return name
        yield

    def search():
        order.append("begun")
        said = yield from searching(predictor, 1, 5)
        order.append("found")
        return said

    in_company([search(), *(long(number) for number in range(4))])
    assert order == ["begun", 0, "found", 1, 2, 3]


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_end(threads):
    async def main():
        before = threading.active_count()
        workers = Workers(threads, Metrics())
        await asyncio.gather(*(workers.call(lambda: None) for _ in range(5)))
        during = threading.active_count()
        workers.close()
        for _ in range(100):
            if threading.active_count() == before:
                break
            await asyncio.sleep(0.01)
        return during - before, threading.active_count() - before

    assert run_apart(main()) == (threads, 0)
