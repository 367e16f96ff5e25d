"""Where a command finds the service: `--url`, KERNELWIRE_URL, or the one that runs on the state directory."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from kernelwire import serve_file
from kernelwire.errors import Failed, WrongUsage
from kernelwire.settings import URL


class Address(Struct, frozen=True):
    """`here`: the service of this state directory, whose tokens outlive its port; `certificate`: see ServeFile."""

    url: str
    here: bool
    certificate: str = ""


def find(given: str | None, state_dir: Path, environment: Mapping[str, str] | None = None) -> Address:
    """The service to call. Raises WrongUsage (no URL of a service), Failed (none runs), AuthError."""
    named = given or (os.environ if environment is None else environment).get(URL)
    running = serve_file.find(state_dir)
    if named:
        url = _checked(named)
        if running is None or running.url != url:
            return Address(url, here=False)
    if running is not None:
        return Address(running.url, here=True, certificate=running.certificate)
    if serve_file.is_running(state_dir):
        raise Failed(f"the service on {state_dir} is only just starting or ending: try again shortly")
    raise Failed(f"no service runs on {state_dir}: start one by `kernelwire serve`, or name one by --url or {URL}")


def _checked(text: str) -> str:
    """Raises WrongUsage, without the text: it may hold what should not be in it."""
    wrong = WrongUsage(f"--url or {URL}: expected http://HOST:PORT or https://HOST, without user, password and query")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise wrong
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise wrong
    return text.rstrip("/").removesuffix("/rpc")
