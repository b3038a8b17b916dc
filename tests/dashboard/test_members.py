"""The pages of the team: invite, change the role, remove, and revoke invitations. All without JavaScript."""

import re

import pytest

from one_runtime.tenancy.roles import ROLES
from tests.dashboard.team import Team, text_of

ADA = "ada@example.com"


def link_of(page: str) -> str:
    """Return the token of the link on the page of a new invitation."""
    tokens: set[str] = set(re.findall(r"http://127\.0\.0\.1:8003/invitation\?token=(orui_\w+)", page))
    (token,) = tokens
    return token


async def test_owner_invites_a_person_and_sees_the_link_once(team: Team) -> None:
    owner = await team.browser("owner")
    created = await owner.post("members/invitations", {"email": " Ada@Example.com ", "role": "developer"})
    assert created.status_code == 200
    token = link_of(created.text)
    assert "The link for ada@example.com" in text_of(created)
    assert re.search(r'Works</dt><dd>once, and expires <time datetime="[^"]+Z" title="[^"]+Z">in 1 d', created.text)
    listed = await owner.get("members")
    assert token not in listed.text
    assert re.search(r"ada@example\.com Developer owner-\w+@example\.com in 23 h", text_of(listed))
    (invitation_id,) = re.findall(r"/members/invitations/([\w-]+)/revoke", listed.text)
    revoked = await owner.submit(f"members/invitations/{invitation_id}/revoke")
    assert "The invitation is revoked" in text_of(revoked)
    assert "There is no open invitation" in text_of(revoked)
    again = await owner.post(f"members/invitations/{invitation_id}/revoke")
    assert (again.status_code, "no such open invitation" in text_of(again)) == (404, True)


@pytest.mark.parametrize(
    "fields,message",
    [
        ({"email": "ada", "role": "owner"}, "must be an e-mail address"),
        ({"email": "", "role": "owner"}, "must be an e-mail address"),
        ({"email": ADA, "role": "root"}, "must be one of support, developer, admin, owner"),
        ({"email": ADA}, "must be one of support, developer, admin, owner"),
        ({"email": '"><script>alert(1)</script>', "role": "admin"}, "must be an e-mail address"),
    ],
)
async def test_invalid_form_is_shown_again_with_the_error(team: Team, fields: dict[str, str], message: str) -> None:
    answer = await (await team.browser("owner")).post("members/invitations", fields)
    assert answer.status_code == 422
    assert message in text_of(answer)
    assert "Correct the marked field" in text_of(answer)
    assert "<script>alert" not in answer.text
    if fields["email"] == ADA:
        assert f'value="{ADA}"' in answer.text


async def test_admin_manages_all_members_except_owners(team: Team) -> None:
    admin = await team.browser("admin")
    members = {role: await team.member(role) for role in ROLES}
    page = await admin.get("members")
    assert re.findall(r'name="role" value="(\w+)"', page.text) == ["support", "developer", "admin"]
    assert "Change the role" not in text_of(await admin.get(f"members/{members['owner']}"))
    for path, fields in (
        (f"members/{members['owner']}/role", {"role": "support"}),
        (f"members/{members['owner']}/remove", {}),
        (f"members/{members['support']}/role", {"role": "owner"}),
        ("members/invitations", {"email": ADA, "role": "owner"}),
    ):
        refused = await admin.post(path, fields)
        assert refused.status_code == 403, path
        assert "Only owners can invite, change and remove owners" in text_of(refused)
    changed = await admin.submit(f"members/{members['support']}/role", {"role": "developer"})
    assert "The role is changed" in text_of(changed)
    assert "Role Developer" in text_of(changed)
    removed = await admin.submit(f"members/{members['support']}/remove")
    assert "The member is removed" in text_of(removed)
    assert (await admin.get(f"members/{members['support']}")).status_code == 404


async def test_last_owner_sees_why_nothing_changed(team: Team) -> None:
    owner = await team.browser("owner")
    for path, fields in (("role", {"role": "admin"}), ("remove", {})):
        refused = await owner.post(f"members/{owner.member_id}/{path}", fields)
        assert (refused.status_code, "is the only owner of the organization" in text_of(refused)) == (409, True)
    refused = await owner.post(f"members/{owner.member_id}/role", {"role": "root"})
    assert (refused.status_code, "must be one of" in text_of(refused)) == (422, True)


async def test_member_who_leaves_sees_the_other_organizations(team: Team) -> None:
    await team.member("owner")
    leaving = await team.browser("owner")
    answer = await leaving.post(f"members/{leaving.member_id}/remove")
    assert (answer.status_code, answer.headers["location"]) == (303, "/organizations")
    assert (await leaving.get("members")).headers["location"].startswith("/sign-in"), "all sessions have ended"


async def test_support_and_developers_only_read(team: Team) -> None:
    other = await team.member("support")
    for role in ("support", "developer"):
        browser = await team.browser(role)
        for page in (await browser.get("members"), await browser.get(f"members/{other}")):
            assert page.status_code == 200
            assert re.findall(r'<form method="post" action="([^"]*)"', page.text) == ["/sign-out"]


@pytest.mark.promise("P1")
async def test_member_of_another_organization_is_not_found(team: Team, other_name: str) -> None:
    owner = await team.browser("owner")
    elsewhere = await team.application.organization(other_name)
    stranger = await team.browser("developer", elsewhere)
    for answer in (
        await owner.get(f"members/{stranger.member_id}"),
        await owner.post(f"members/{stranger.member_id}/role", {"role": "admin"}),
        await owner.post(f"members/{stranger.member_id}/remove"),
    ):
        assert answer.status_code == 404
        assert other_name not in answer.text
    assert str(stranger.member_id)[-6:] not in (await owner.get("members")).text


async def test_long_list_has_pages(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("one_runtime.dashboard.members.PAGE_SIZE", 2)
    owner = await team.browser("owner")
    for role in ROLES:
        await team.member(role)
    seen, path = [], "members"
    while path:
        page = (await owner.get(path)).text
        seen += re.findall(r'/members/[\w-]{36}">([^<]+)</a>', page)
        following = re.search(r'href="([^"]+)" rel="next"', page)
        path = following[1].replace("&amp;", "&") if following else ""
    assert len(seen) == 5
    assert seen == sorted(set(seen))
