"""What docker/ says of the project is still so. No engine runs it here."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from kernelwire import cli

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"


def instruction(name: str) -> list[str]:
    """The words of the one instruction of this name, in its JSON form."""
    (found,) = re.findall(rf"^{name} (\[.*\])$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    return json.loads(found)


def composed(name: str) -> dict[str, Any]:
    return yaml.safe_load((DOCKER / name).read_text())["services"]["kernelwire"]


def test_the_command_is_one_of_kernelwire() -> None:
    program, *fixed = instruction("ENTRYPOINT")
    assert program == "kernelwire"
    given = cli.make_parser().parse_args([*fixed, *instruction("CMD")])
    assert (given.host, given.behind_proxy) == ("0.0.0.0", "true")  # noqa: S104
    with pytest.raises(SystemExit):
        cli.make_parser().parse_args(["serve", "--behind-a-proxy"])


def test_all_that_the_wheel_is_built_from_is_copied() -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = built["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *(path.partition("/")[0] for path in wheel["force-include"])}
    needed |= {"pyproject.toml", "requirements.lock", built["project"]["readme"]}
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert needed <= let_through
    assert all((ROOT / name).exists() for name in let_through)


def test_files_that_compose_names_are_there() -> None:
    service = composed("compose.yaml")
    assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    proxy = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["proxy"]
    sources = [volume.partition(":")[0] for volume in proxy["volumes"] if volume.startswith("./")]
    assert sources
    assert all((DOCKER / source).is_file() for source in sources)
    assert all(port.startswith("127.0.0.1:") for port in proxy["ports"]), "published beyond this machine by default"
    assert "ports" not in service, "what is believed of a proxy, clients could write themselves"
    assert composed("namespaces.yaml")["security_opt"]
