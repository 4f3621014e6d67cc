"""`mdmctl apps list | show | add | change | remove`, and devices chosen by tags and groups."""

import json

from tests.apps.office import Office
from tests.cli.conftest import Mdmctl

CRM = ("apps", "add", "crm", "--name", "CRM", "--bundle-id", "com.example.crm")


async def test_an_app_is_added_changed_listed_and_removed(mdmctl: Mdmctl) -> None:
    added = await mdmctl(*CRM, "--app-store-id", "5", "--platform", "ios", "--platform", "tvos")
    changed = await mdmctl("apps", "change", "crm", "--preference-domain", "com.example", "--app-store-id", "7")
    emptied = await mdmctl("apps", "change", "crm", "--preference-domain", "", "--json")
    listed = await mdmctl("apps", "list")
    asked = await mdmctl("apps", "remove", "crm")
    removed = await mdmctl("apps", "remove", "crm", "--yes")

    assert (added.exit_code, changed.exit_code, asked.exit_code, removed.exit_code) == (0, 0, 2, 0), added.output
    assert "mdmctl apps assign crm --all" in added.stderr
    assert "com.example" in changed.stdout
    assert json.loads(emptied.stdout)["preference_domain"] is None
    assert "crm\tCRM\t7\tcom.example.crm\tios, tvos" in listed.stdout
    assert "what they have they keep" in asked.stderr
    assert (await mdmctl("apps", "show", "crm")).exit_code == 3


async def test_an_app_that_is_assigned_says_what_to_do_first(mdmctl: Mdmctl) -> None:
    await mdmctl("apps", "assign", "pingid", "--all")

    removed = await mdmctl("apps", "remove", "pingid", "--yes")

    assert removed.exit_code == 1
    assert "mdmctl apps unassign pingid" in removed.stderr


async def test_nothing_to_change_is_wrong_usage(mdmctl: Mdmctl) -> None:
    assert (await mdmctl("apps", "change", "pingid")).exit_code == 2


async def test_tags_and_groups_are_kept_on_the_command_line(mdmctl: Mdmctl, office: Office) -> None:
    await office.phone(1)
    await office.phone(2)

    tagged = await mdmctl("devices", "tag", "C00001", "nobody", "C00002", "--add", "sales", "--add", "ios")
    untagged = await mdmctl("devices", "tag", "C00002", "--remove", "ios", "--json")
    put = await mdmctl("groups", "add", "lab", "--from-file", "-", input="C00001 # Ada's\nC00002\n")
    taken = await mdmctl("groups", "remove", "lab", "C00002", "--json")

    assert (tagged.exit_code, put.exit_code) == (1, 0)
    assert "refused: nobody" in tagged.stderr
    assert json.loads(untagged.stdout)["items"][0]["tags"] == ["sales"]
    assert "2 devices put into lab, which has 2 now" in put.stderr
    assert json.loads(taken.stdout) == {"name": "lab", "devices": 1, "changed": 1}
    assert "sales\t2" in (await mdmctl("devices", "tags")).stdout
    assert (await mdmctl("devices", "tags", "ios")).stdout.count("C0000") == 1
    assert "lab\t1" in (await mdmctl("groups", "list")).stdout
    assert "C00001" in (await mdmctl("groups", "members", "lab")).stdout
    assert (await mdmctl("groups", "members", "nothing")).exit_code == 3
    assert (await mdmctl("groups", "add", "lab")).exit_code == 2
    assert (await mdmctl("devices", "tag", "C00001")).exit_code == 2
