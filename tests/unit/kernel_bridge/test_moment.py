import asyncio

from kernel_bridge.moment import Moment


def test_who_asked_is_called_once_and_in_order() -> None:
    moment = Moment()
    calls: list[str] = []
    moment.then(lambda: calls.append("first"))
    moment.then(lambda: calls.append("second"))
    assert not calls
    moment.set()
    moment.set()
    assert calls == ["first", "second"]


def test_a_moment_that_has_come_calls_at_once() -> None:
    moment = Moment()
    calls: list[str] = []
    moment.set()
    moment.then(lambda: calls.append("now"))
    assert calls == ["now"]


def test_what_was_forgotten_is_not_called() -> None:
    moment = Moment()
    calls: list[str] = []

    def call() -> None:
        calls.append("never")

    moment.then(call)
    moment.forget(call)
    moment.forget(call)
    moment.set()
    assert not calls


def test_what_is_asked_for_within_a_call_is_for_the_next_time() -> None:
    moment = Moment()
    calls: list[str] = []
    moment.then(lambda: (moment.clear(), moment.then(lambda: calls.append("again")), None)[-1])
    moment.set()
    assert not calls
    moment.set()
    assert calls == ["again"]


async def test_tasks_wait_for_it_as_for_any_event() -> None:
    moment = Moment()
    waiting = asyncio.create_task(moment.wait())
    await asyncio.sleep(0)
    moment.set()
    assert await waiting
