"""`make fuzz`: N inputs (100,000) to the decoder of kernels' messages, to the dispatcher and to a running service.

Ends with 1 at the first input that does what none may do, which is shrunk and shown. `--part` chooses some.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.service import Service
from tests.fuzz import targets

SHARES = {"wire": 0.5, "dispatch": 0.4, "http": 0.1}
"""of the inputs: one over HTTP costs as much as some fifty of the decoder"""
GROWTH_BYTES = 48 << 20
"""what front and host may grow by in the second half"""
LIMITS = {
    "KERNELWIRE_AUTH__LOGIN_FAILURES_PER_USER": "off",
    "KERNELWIRE_AUTH__LOGIN_FAILURES_PER_ADDRESS": "off",
    "KERNELWIRE_BRIDGE__SESSIONS_PER_USER": "4",
    "KERNELWIRE_BRIDGE__INTERRUPT_AGAIN_S": "0.5",
    "KERNELWIRE_BRIDGE__INTERRUPT_KILL_S": "0.5",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, metavar="N")
    parser.add_argument("--part", action="append", choices=[*SHARES])
    given = parser.parse_args()
    for part in given.part or SHARES:
        share = 1.0 if given.part and len(given.part) == 1 else SHARES[part]
        inputs = max(10, round(given.inputs * share))
        began = time.monotonic()
        note = ""
        if part == "wire":
            sent = targets.wire(inputs)
        elif part == "dispatch":
            sent = targets.dispatch(inputs)
        else:
            sent, note = _at_a_service(inputs)
        print(f"{part}: {sent} inputs in {time.monotonic() - began:.0f} s, nothing found{note}", flush=True)
    return 0


def _at_a_service(inputs: int) -> tuple[int, str]:
    with tempfile.TemporaryDirectory(prefix="kw-fuzz-", dir="/tmp") as place:
        service = Service.start(Path(place) / "state", extra=LIMITS, home=Path(place) / "home")
        try:
            sent = targets.http(inputs // 2, service.url, service.password)
            before = _memory(service)
            sent += targets.http(inputs - inputs // 2, service.url, service.password)
            grown = {name: size - before[name] for name, size in _memory(service).items()}
            too_much = {name: size for name, size in grown.items() if size > GROWTH_BYTES}
            if too_much:
                raise targets.Found(f"grew in the second half: {too_much}")
            service.check_log()
            service.stop()
        finally:
            service.abandon()
    return sent, "; grown by " + ", ".join(f"{name} {size / (1 << 20):.1f} MiB" for name, size in grown.items())


def _memory(service: Service) -> dict[str, int]:
    """Resident bytes of front and host."""
    found: dict[str, int] = {}
    for name, word in (("front", "_front"), ("host", "_host")):
        pages = int(Path(f"/proc/{service.one(word).pid}/statm").read_text().split()[1])
        found[name] = pages * 4096
    return found


if __name__ == "__main__":
    sys.exit(main())
