import logging

import pytest

from rpc import logs


def test_an_event_has_a_name_and_fields(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "kernelwire.rpc"):
        logs.event(logging.INFO, "rpc.call", method="whoami", session=None, duration_ms=1.5)
        logs.event(logging.DEBUG, "rpc.other")
    (record,) = caplog.records
    assert record.getMessage() == "rpc.call method=whoami duration_ms=1.5"
    assert vars(record)["event"] == "rpc.call"
    assert vars(record)["fields"] == {"method": "whoami", "duration_ms": 1.5}


def test_a_failure_names_classes_and_frames_of_the_whole_chain(caplog: pytest.LogCaptureFixture) -> None:
    try:
        try:
            raise KeyError("user text")
        except KeyError as error:
            raise ValueError("more user text") from error
    except ValueError as error:
        logs.failure(error, request_id="r", method="m")
    assert "builtins.KeyError" in caplog.text
    assert "builtins.ValueError" in caplog.text
    assert "test_logs.py" in caplog.text
    assert "user text" not in caplog.text.replace('raise KeyError("user text")', "").replace('"more user text"', "")
