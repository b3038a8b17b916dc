"""Members sign in to the dashboard at npm's oidc-provider, a certified OpenID provider."""

from dataclasses import replace
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr

from one_runtime.egress.client import Egress
from one_runtime.team.dashboard_sessions import RECENT
from one_runtime.team.sign_in import openid
from one_runtime.team.sign_in.openid import CALLBACK_PATH, SignInFailed
from one_runtime.team.sign_in.openid_admission import admit
from one_runtime.team.sign_in.openid_provider import OpenIDClient
from one_runtime.tenancy.roles import find_role
from tests.application import Application
from tests.database import ANY_DATABASE
from tests.foreign.person import ALICE, BOB
from tests.foreign.providers import Provider
from tests.foreign.visitor import Visitor

pytestmark = [pytest.mark.foreign, ANY_DATABASE]

DASHBOARD_URL = "http://127.0.0.1:8003"


async def test_people_join_and_sign_in_again_at_a_certified_provider(
    application: Application, oidc_provider: Provider
) -> None:
    registered = oidc_provider.register_client(DASHBOARD_URL + CALLBACK_PATH)
    organization = await application.organization()
    changes = {
        "dashboard_url": DASHBOARD_URL,
        "oidc_issuer": oidc_provider.url,
        "oidc_client_id": registered.client_id,
        "oidc_client_secret": SecretStr(registered.client_secret),
        "oidc_allowed_domains": frozenset({"example.com"}),
    }
    settings = application.installation.settings.model_copy(update=changes)
    async with Egress(allow=frozenset({("127.0.0.1", oidc_provider.port)})) as egress:
        installation = replace(application.installation, settings=settings, egress=egress)
        client = OpenIDClient(installation)
        ids = set()
        for person, again in ((ALICE, False), (BOB, False), (ALICE, True)):
            begun = await openid.begin(installation, client, None, again=again)
            async with Visitor() as visitor:
                callback = urlencode(await visitor.consent(begun.url, person)).encode()
            account = await openid.finish(installation, client, callback, begun.cookie)
            async with installation.database.write() as tx:
                member = await admit(tx, settings, account, application.clock(), None)
                role = await find_role(tx, organization, member.id)
            assert (member.email, role) == (person.email, "support")
            ids.add(member.id)
            # Without a request to authenticate again, this provider sends no `auth_time`.
            authenticated_at = account.authenticated_at
            assert authenticated_at is not None
            assert (application.clock() - authenticated_at < RECENT) == again
        assert len(ids) == 2
        begun = await openid.begin(installation, client, None)
        async with Visitor() as visitor:
            denied = urlencode(await visitor.deny(begun.url, BOB)).encode()
        with pytest.raises(SignInFailed, match="did not let you in"):
            await openid.finish(installation, client, denied, begun.cookie)
