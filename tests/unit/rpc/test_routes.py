"""The table of routes in the OpenAPI document against the application's own."""

from rpc.app import create_app
from rpc.routes import ROUTES
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
