"""`mdmctl apps configure` and `profiles export`: the token comes by standard input, and is never seen again."""

import json
import logging
import os
import plistlib
from pathlib import Path
from typing import Any

import pytest

from profiles import read_signed_profile
from tests.apps.office import Office, tag
from tests.cli.conftest import Mdmctl
from tests.web.api_server import RunningServer

TOKEN = "5d0d5d33-1111-4222-8333-c0ffee123456"
PINGID_TOKEN = "PINGID_MDM_TOKEN"
CONFIGURE = ("apps", "configure", "pingid")


async def values_of(server: RunningServer, scope: str = "all") -> dict[str, Any]:
    app = (await server.get("/api/v1/apps/pingid")).json
    return next((each["values"] for each in app["configurations"] if each["scope"] == scope), {})


async def test_the_token_is_read_from_standard_input_and_its_fingerprint_printed(
    mdmctl: Mdmctl, office: Office, server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    phone = await office.phone(1)

    first = await mdmctl(*CONFIGURE, "--token", "-", input=f"  {TOKEN} \n")
    await mdmctl("apps", "assign", "pingid", "--all")
    again = await mdmctl(*CONFIGURE, "--token", "-", input=TOKEN)
    other = await mdmctl(*CONFIGURE, "--token", "-", "--json", input=TOKEN.upper())
    await office.quiet()

    fingerprint = json.loads(other.stdout)["secrets"][PINGID_TOKEN]
    assert (first.exit_code, again.exit_code, other.exit_code) == (0, 0, 0), first.output
    assert "1 enrolled device now" in first.stdout
    assert f"fingerprint of {PINGID_TOKEN}" in first.stdout
    assert fingerprint not in first.stdout
    assert "mdmctl apps assign pingid --all" in first.stderr
    assert "as it was: nothing is sent" in again.stdout
    assert (phone.configuration or {})[PINGID_TOKEN] == TOKEN.upper()
    shown = await mdmctl("apps", "show", "pingid")
    assert f"secret, fingerprint {fingerprint}" in shown.stdout
    said = "".join(each.output for each in (first, again, other, shown)) + caplog.text
    assert TOKEN.lower() not in said.lower()


@pytest.mark.parametrize("option", [["--token", TOKEN], [f"--token={TOKEN}"], ["--token", ""]])
async def test_a_token_as_an_argument_is_refused_with_the_reason(option: list[str], mdmctl: Mdmctl) -> None:
    result = await mdmctl(*CONFIGURE, *option, input=TOKEN)
    exported = await mdmctl("profiles", "export", "pingid", *option, "--out", "x", input=TOKEN)

    for each in (result, exported):
        assert each.exit_code == 2
        assert "never an argument" in each.stderr
        assert TOKEN not in each.output


@pytest.mark.parametrize("given", ["", "\n", "   \n", "a\x1bb\n"])
async def test_what_is_no_token_is_refused_unseen(given: str, mdmctl: Mdmctl, server: RunningServer) -> None:
    result = await mdmctl(*CONFIGURE, "--token", "-", input=given)

    assert result.exit_code == 2
    assert await values_of(server) == {}


async def test_a_token_that_is_no_uuid_is_taken_with_a_note(mdmctl: Mdmctl, server: RunningServer) -> None:
    result = await mdmctl(*CONFIGURE, "--token", "-", input="chosen-by-hand")

    assert result.exit_code == 0
    assert "note:" in result.stderr
    assert "chosen-by-hand" not in result.output
    assert PINGID_TOKEN in await values_of(server)


async def test_values_have_the_types_that_are_said(mdmctl: Mdmctl, server: RunningServer) -> None:
    typed = {
        "s=1": "string", "i=-42": "integer", "b=True": "boolean", "r=2": "real", "d=2030-01-31T08:00:00Z": "date",
        "x=aGk=": "data", 'a=["q", 1]': "array", 'o={"k": true}': "dictionary",
    }  # fmt: skip
    pairs = [part for pair, kind in typed.items() for part in ("--set", pair, "--type", kind)]

    result = await mdmctl(*CONFIGURE, *pairs)

    assert result.exit_code == 0, result.output
    values = await values_of(server)
    assert values == {
        "s": "1", "i": -42, "b": True, "r": 2.0, "d": {"$date": "2030-01-31T08:00:00Z"}, "x": {"$data": "aGk="},
        "a": ["q", 1], "o": {"k": True},
    }  # fmt: skip
    assert isinstance(values["r"], float)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "4.5"), ("integer", ""), ("boolean", "yes"), ("real", "nan"), ("real", "x"), ("date", "tomorrow"),
        ("data", "%%"), ("array", '{"a": 1}'), ("array", "[1"), ("array", "null"), ("dictionary", "[1]"),
        ("dictionary", '{"$data": "aGk="}'), ("dictionary", '{"a": null}'),
    ],
)  # fmt: skip
async def test_a_value_of_another_type_is_wrong_usage(
    kind: str, text: str, mdmctl: Mdmctl, server: RunningServer
) -> None:
    result = await mdmctl(*CONFIGURE, "--set", f"key={text}", "--type", kind)

    assert result.exit_code == 2, result.output
    assert f"the value of key is no {kind}" in result.stderr
    assert await values_of(server) == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--set", f"{PINGID_TOKEN}=CANARY"],
        ["--set", "apiToken=CANARY"],
        ["--set", "pin=CANARY"],
        ["--set", "plain=CANARY", "--secret", "plain"],
    ],
)
async def test_a_secret_is_never_an_argument(arguments: list[str], mdmctl: Mdmctl, server: RunningServer) -> None:
    result = await mdmctl(*CONFIGURE, *arguments)

    assert result.exit_code == 2
    assert "never an argument" in result.stderr
    assert "CANARY" not in result.output
    assert await values_of(server) == {}


async def test_a_secret_comes_by_standard_input_and_the_other_keys_stay(mdmctl: Mdmctl, server: RunningServer) -> None:
    await mdmctl(*CONFIGURE, "--token", "-", input=TOKEN)
    await mdmctl(*CONFIGURE, "--set", "server=a")

    result = await mdmctl(*CONFIGURE, "--set", "pinned=-", "--secret", "pinned", "--set", "server=b", input="CANARY\n")

    values = await values_of(server)
    assert result.exit_code == 0, result.output
    assert "CANARY" not in result.output
    assert [line.split()[1:] for line in result.stdout.splitlines() if line.startswith("kept")] == [[PINGID_TOKEN]]
    assert set(values) == {PINGID_TOKEN, "pinned", "server"}
    assert (values["server"], set(values["pinned"])) == ("b", {"$fingerprint"})


async def test_what_would_be_lost_is_said_and_asked(mdmctl: Mdmctl, server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "configuration.json"
    file.write_text('{"server": "x", "until": {"$date": "2030-01-31T08:00:00Z"}}')
    await mdmctl(*CONFIGURE, "--token", "-", input=TOKEN)

    asked = await mdmctl(*CONFIGURE, "--from-file", str(file))
    before = await values_of(server)
    told = await mdmctl(*CONFIGURE, "--from-file", str(file), "--yes")

    assert (asked.exit_code, told.exit_code) == (2, 0)
    assert f"PingID loses {PINGID_TOKEN}" in asked.stderr
    assert set(before) == {PINGID_TOKEN}
    assert set(await values_of(server)) == {"server", "until"}


@pytest.mark.parametrize("form", ["xml", "binary", "bare dict", "json"])
async def test_a_file_is_a_plist_or_json(form: str, mdmctl: Mdmctl, server: RunningServer, tmp_path: Path) -> None:
    content = {"server": "x", "list": [1, True], "raw": b"hi"}
    written = {
        "xml": plistlib.dumps(content),
        "binary": plistlib.dumps(content, fmt=plistlib.FMT_BINARY),
        "bare dict": plistlib.dumps(content).partition(b"<dict>")[2].rpartition(b"</plist>")[0],
        "json": b'{"server": "x", "list": [1, true], "raw": {"$data": "aGk="}}',
    }[form]
    file = tmp_path / "file"
    file.write_bytes(b"<dict>" + written if form == "bare dict" else written)

    result = await mdmctl(*CONFIGURE, "--from-file", str(file), "--secret", "raw")

    values = await values_of(server)
    assert result.exit_code == 0, result.output
    assert (values["server"], values["list"], set(values["raw"])) == ("x", [1, True], {"$fingerprint"})


@pytest.mark.parametrize("content", [b"", b"CANARY", b'{"a": CANARY', b'{"a": {"$data": "CANARY!"}}', b"bplist00CANARY",
                                     b"<dict><key>a</key><string>CANARY</dict>", b"[1]"])  # fmt: skip
async def test_a_file_that_is_neither_is_refused_unseen(
    content: bytes, mdmctl: Mdmctl, server: RunningServer, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)

    result = await mdmctl(*CONFIGURE, "--from-file", str(file))

    assert result.exit_code == 2, result.output
    assert "CANARY" not in result.output
    assert await values_of(server) == {}


async def test_a_configuration_for_some_is_set_and_taken_back(
    mdmctl: Mdmctl, office: Office, server: RunningServer
) -> None:
    phone = await office.phone(1)
    await office.label(phone, tag("sales"))
    set_ = await mdmctl(*CONFIGURE, "--token", "-", "--scope", "tag:sales", input=TOKEN)

    asked = await mdmctl(*CONFIGURE, "--remove", "--scope", "tag:sales")
    told = await mdmctl(*CONFIGURE, "--remove", "--scope", "tag:sales", "--yes")
    again = await mdmctl(*CONFIGURE, "--remove", "--scope", "tag:sales", "--yes")

    assert "tag:sales, 1 enrolled device now" in set_.stdout
    assert (asked.exit_code, told.exit_code, again.exit_code) == (2, 0, 0)
    assert "blocks pairing and authentication" in asked.stderr
    assert "nothing was changed" in again.stderr
    assert await values_of(server, "tag:sales") == {}


@pytest.mark.parametrize(
    "arguments",
    [[], ["--remove", "--set", "a=1"], ["--token", "-", "--from-file", "x"], ["--token", "-", "--type", "integer"],
     ["--set", "a"], ["--set", "=1"], ["--set", "a=1", "--set", "a=2"], ["--set", "a=1", "--secret", "b"],
     ["--set", "a=1", "--set", "b=1", "--set", "c=1", "--type", "integer", "--type", "string"],
     ["--from-file", "not-there"]],
)  # fmt: skip
async def test_wrong_usage_changes_nothing(arguments: list[str], mdmctl: Mdmctl, server: RunningServer) -> None:
    result = await mdmctl(*CONFIGURE, *arguments, input=TOKEN)

    assert result.exit_code == 2, result.output
    assert await values_of(server) == {}


async def test_the_profile_is_written_for_its_owner_alone(mdmctl: Mdmctl, tmp_path: Path) -> None:
    await mdmctl(*CONFIGURE, "--token", "-", input=TOKEN)
    file = tmp_path / "pingid.mobileconfig"
    export = ("profiles", "export", "pingid", "--token", "-", "--out", str(file))

    written = await mdmctl(*export, input=TOKEN)
    again = await mdmctl(*export, input=TOKEN)
    forced = await mdmctl(*export, "--force", "--json", input=TOKEN)

    content, _ = read_signed_profile(file.read_bytes())
    assert (written.exit_code, again.exit_code, forced.exit_code) == (0, 1, 0), written.output
    assert TOKEN.encode() in content
    assert file.stat().st_mode & 0o777 == 0o600
    assert [name for name in os.listdir(tmp_path) if "mobileconfig" in name] == [file.name]
    assert "--force" in again.stderr
    assert json.loads(forced.stdout)["bytes"] == file.stat().st_size
    assert TOKEN not in written.output + again.output + forced.output


async def test_a_wrong_token_gets_no_profile(mdmctl: Mdmctl, tmp_path: Path) -> None:
    await mdmctl(*CONFIGURE, "--token", "-", input=TOKEN)
    file = tmp_path / "pingid.mobileconfig"
    export = ("profiles", "export", "pingid", "--out", str(file))

    wrong = await mdmctl(*export, "--token", "-", input="5d0d5d33-1111-4222-8333-000000000000")
    missing = await mdmctl(*export)
    elsewhere = await mdmctl(*export, "--scope", "tag:sales")

    assert (wrong.exit_code, missing.exit_code, elsewhere.exit_code) == (1, 1, 3)
    assert "(secret_differs)" in wrong.stderr
    assert PINGID_TOKEN in missing.stderr
    assert not file.exists()
