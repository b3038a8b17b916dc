"""`/self-check` answers holders of the key ring only."""

from datetime import timedelta

import httpx2

from one_runtime.encryption import self_check
from one_runtime.encryption.vault import Vault, new_key, parse_keys
from tests.application import Application, Client


async def request_self_check(application: Application, header: str | None) -> httpx2.Response:
    headers = {} if header is None else {self_check.HEADER: header}
    return await application.client().http.get(self_check.PATH, headers=headers)


async def test_holder_of_the_ring_gets_the_echo_of_the_request(application: Application) -> None:
    vault, now = application.installation.vault, application.clock()
    answer = await request_self_check(application, self_check.authorization(vault, now))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    echo = self_check.read_echo(self_check.RequestEcho, answer.content)
    assert echo is not None
    assert echo.public_url == application.installation.settings.public_url
    async with application.installation.database.read() as tx:
        assert echo.database_fingerprint == await self_check.database_fingerprint(tx)
    assert abs(echo.now - now) < timedelta(seconds=5)


async def test_other_callers_get_404(application: Application) -> None:
    vault, now = application.installation.vault, application.clock()
    stranger = Vault(parse_keys(new_key()))
    header = self_check.authorization(vault, now)
    time, proof = header.split(".")
    old = self_check.authorization(vault, now - timedelta(hours=2))
    early = self_check.authorization(vault, now + timedelta(hours=2))
    forged = self_check.authorization(stranger, now)
    tampered = f"{int(time) + 1}.{proof}"
    cut = [None, "", ".", "x.y", time, f"{time}.", f"{time}.zz", header[:-2], f"{header}00", "1.2.3", f"{'9' * 400}.00"]
    unknown = (await application.client().get("/nowhere")).json()
    for refused in (*cut, old, early, forged, tampered):
        answer = await request_self_check(application, refused)
        assert answer.status_code == 404, refused
        assert answer.json().keys() == unknown.keys()
        assert answer.json()["code"] == "not_found"


async def test_self_check_is_not_in_the_openapi_document(client: Client) -> None:
    assert self_check.PATH not in (await client.get("/openapi.json")).json()["paths"]


def test_malformed_echo_is_none() -> None:
    for body in (b"", b"{}", b"<html>", b"[]", b'{"public_url": "u"}'):
        assert self_check.read_echo(self_check.RequestEcho, body) is None


def test_self_check_accepts_any_key_of_a_ring_in_rotation() -> None:
    first, second = new_key(), new_key()
    before, after = Vault(parse_keys(f"{first},{second}")), Vault(parse_keys(f"{second},{first}"))
    assert after.verify_mac(b"message", before.mac(b"message"))
    assert before.verify_mac(b"message", after.mac(b"message"))
    assert not before.verify_mac(b"another", after.mac(b"message"))
