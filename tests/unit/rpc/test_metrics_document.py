"""docs/how-to/operate.md names every metric."""

import re
from pathlib import Path

from kernel_bridge.stats import Stats
from rpc.metrics import FrontFigures, HostFigures, Metrics

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "operate.md"


def test_every_metric_is_documented_and_no_other() -> None:
    metrics = Metrics("1")
    metrics.call("whoami", "ok", 0.1)
    metrics.response(200)
    stats = Stats(cells={"ok": 1})
    text = metrics.render("", FrontFigures(0, 0, database_up=True), HostFigures(stats, 0.1))[0].decode()
    made = set(re.findall(r"^# HELP (\S+)", text, re.MULTILINE))
    made = {name for name in made if not name.endswith("_created") and "_front_process_" not in name}
    named = set(re.findall(r"`(kernelwire_\w+)`", PAGE.read_text()))
    assert named == made
