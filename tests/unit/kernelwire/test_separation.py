"""Several users are served only where something keeps their kernels apart; the doctor says what is missing."""

import pytest

from kernel_bridge.sandbox import sandboxes
from kernel_bridge.sandbox.probe import Layer, Layers
from kernel_bridge.sandbox.settings import SandboxSettings
from kernelwire import separation
from kernelwire.doctor import sandbox as doctor
from kernelwire.errors import CannotServe

STRICT, NONE = SandboxSettings(), SandboxSettings(profile="none")
EXEMPT = SandboxSettings(users={"alice": "none"})


def machine(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    all_of_them = ("namespaces", "landlock", "seccomp")
    layers = Layers(tuple(Layer(name, name in names, "why") for name in all_of_them))
    for module in (sandboxes, separation, doctor):
        monkeypatch.setattr(module, "probe", lambda: layers)


def test_who_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, "namespaces", "landlock", "seccomp")
    separation.require(STRICT, 2)
    for alone in (STRICT, NONE, EXEMPT):
        separation.require(alone, 1)
    with pytest.raises(CannotServe, match=r"profile is none.*--insecure-shared-uid"):
        separation.require(NONE, 2)
    with pytest.raises(CannotServe, match="exempts some"):
        separation.require(EXEMPT, 2)
    machine(monkeypatch, "landlock", "seccomp")
    separation.require(STRICT, 2)
    machine(monkeypatch, "seccomp")
    with pytest.raises(CannotServe, match=r"this machine cannot: no namespaces \(why\)"):
        separation.require(STRICT, 2)


def test_the_doctor_lists_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, "namespaces", "landlock", "seccomp")
    assert [(one.status, one.text) for one in doctor.check(STRICT)] == [
        ("ok", "strict; namespaces, landlock, seccomp"),
    ]
    assert [one.status for one in doctor.check(NONE)] == ["warning"]
    machine(monkeypatch, "seccomp")
    found = list(doctor.check(STRICT))
    assert [one.text.partition(":")[0] for one in found] == ["no namespaces", "no landlock"]
    assert all(one.mend and "without a sandbox" in one.text for one in found)
