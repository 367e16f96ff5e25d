"""The table of routes in the OpenAPI document against the application's own."""

from rpc.app import create_app
from rpc.routes import GATE, ROUTES
from tests.unit.rpc.fakes import Front


def test_the_table_has_every_route() -> None:
    app = create_app(Front.of().services)
    served = {
        (route.method.lower(), resource.canonical)
        for resource in app.router.resources()
        for route in resource
        if route.method != "HEAD"
    }
    assert {(route.verb, route.path) for route in ROUTES} == served


def test_what_is_refused_before_a_route_is_among_its_answers() -> None:
    for route in ROUTES:
        words = {answer.status: answer.words for answer in route.all_answers}
        assert len(words) == len(route.all_answers), route.path
        assert all(answer.words in words[answer.status] for answer in (*GATE, *route.answers)), route.path
