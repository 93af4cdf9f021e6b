"""The threads that compute: turns, fairness, and lateness."""

import asyncio
import threading
import time

from server.serving import run_apart

from elman.server.limits import MAX_LATE
from elman.server.metrics import Metrics
from elman.server.workers import Workers


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
