"""Every method in every state of a session: each answer is the one that the wire contract asks for, and in time."""

import asyncio
import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from auth import passwords
from auth.database import Database, default_url
from auth.users import Users
from docs.generator.markdown import anchor
from rpc.methods import REGISTRY
from tests.e2e.service import Service, running
from tests.states.calls import CALLS
from tests.states.expectations import EXPECTED, STATES
from tests.states.page import PLACE, page
from tests.states.stage import Stage

PASSWORD = "not a secret at all"
WRITE = "WRITE_STATES"
AT_ONCE = 4
"""sessions that are played with at the same time: kernels start on every core"""


def test_no_method_is_left_out() -> None:
    assert set(CALLS) == set(REGISTRY)
    assert set(EXPECTED) == set(REGISTRY)
    for row in EXPECTED.values():
        for answer in row.values():
            assert bool(answer.why) is not answer.text.startswith("ok"), "an error has a reason, nothing else has"


def test_the_page_is_not_stale() -> None:
    """The other test makes sure that these are the answers."""
    expected = {method: {state: answer.text for state, answer in row.items()} for method, row in EXPECTED.items()}
    assert PLACE.exists(), "run `make states`"
    assert PLACE.read_text() == page(_ordered(expected)), "run `make states`"


def test_its_links_lead_somewhere() -> None:
    headings = {anchor(line[3:]) for line in (PLACE.parent / "errors.md").read_text().splitlines() if line[:3] == "## "}
    assert set(re.findall(r"\(errors\.md#([^)]+)\)", PLACE.read_text())) <= headings


async def test_every_method_in_every_state(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    with running(state_dir) as service:
        await asyncio.to_thread(_add_users, state_dir)
        async with aiohttp.ClientSession() as http:
            answers = await _play(service, http)
    found = {method: {state: answers[state][method] for state in STATES} for method in CALLS}
    wrong = [
        f"{method} in {state}: {found[method][state]}, not {answer.text}"
        for method, row in EXPECTED.items()
        for state, answer in row.items()
        if found[method][state] != answer.text
    ]
    assert not wrong, "\n".join(wrong)
    if WRITE in os.environ:
        await asyncio.to_thread(PLACE.write_text, page(_ordered(found)))


async def _play(service: Service, http: aiohttp.ClientSession) -> dict[str, dict[str, str]]:
    """Answers by state and method. The host is stopped last, when nobody else needs it."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(state: str) -> dict[str, str]:
        async with places:
            return await Stage(service, http, state, PASSWORD).play(state)

    answers: dict[str, dict[str, str]] = {}
    async with asyncio.TaskGroup() as tasks:
        playing = {state: tasks.create_task(one(state)) for state in STATES if state != "away"}
    answers |= {state: task.result() for state, task in playing.items()}
    return {**answers, "away": await one("away")}


def _add_users(state_dir: Path) -> None:
    """One for each state, as log-out everywhere ends all tokens of its user."""
    hashed = passwords.hash(PASSWORD)
    with contextlib.closing(Database(default_url(state_dir))) as database:
        for state in STATES:
            Users(database).add(state, hashed)


def _ordered(answers: Mapping[str, Mapping[str, str]]) -> Mapping[str, Mapping[str, str]]:
    return {method: answers[method] for method in REGISTRY}
