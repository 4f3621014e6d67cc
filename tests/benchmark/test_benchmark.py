"""The benchmark in its short form: that it runs and loses nothing, not how fast it is."""

import json

import pytest

from tests.benchmark.__main__ import main


@pytest.mark.parametrize("phase", ["gateway", "wake-up", "outage"])
def test_short_form_pushes_every_device(phase: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["push", "--short", "--json", "--only", phase])

    figures = json.loads(capsys.readouterr().out)[phase]
    assert status == 0
    assert figures["number"] > 0
    if phase == "outage":
        assert (figures["pushes"], figures["most_per_device"]) == (figures["number"], 1)
