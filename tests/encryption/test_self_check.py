"""`/mirror`: for holders of the key ring only, and what it says is proven."""

from datetime import timedelta

import httpx2

from one_runtime.encryption import self_check
from one_runtime.encryption.vault import Vault, new_key, parse_keys
from tests.application import Application, Client


async def asked(application: Application, header: str | None) -> httpx2.Response:
    headers = {} if header is None else {self_check.CHALLENGE: header}
    return await application.client().http.get(self_check.PATH, headers=headers)


async def test_a_holder_of_the_ring_gets_a_reflection_that_is_proven(application: Application) -> None:
    vault, now = application.installation.vault, application.clock()
    nonce, header = self_check.challenge(vault, now)
    answer = await asked(application, header)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    seen = self_check.read_answer(vault, nonce, answer.content, answer.headers[self_check.PROOF])
    assert seen is not None
    assert seen.public_url == application.installation.settings.public_url
    async with application.installation.database.read() as tx:
        assert seen.database_fingerprint == await self_check.database_fingerprint(tx)
    assert abs(seen.now - now) < timedelta(seconds=5)


async def test_to_anybody_else_there_is_no_such_address(application: Application) -> None:
    vault, now = application.installation.vault, application.clock()
    stranger = Vault(parse_keys(new_key()))
    nonce, header = self_check.challenge(vault, now)
    _, old = self_check.challenge(vault, now - timedelta(hours=2))
    _, early = self_check.challenge(vault, now + timedelta(hours=2))
    _, forged = self_check.challenge(stranger, now)
    tampered = header.replace(nonce, f"{nonce}0")
    nowhere = (await application.client().get("/nowhere")).json()
    for one in (None, "", ".", "x.y", nonce, f"{nonce}.", f"{nonce}.zz", old, early, forged, tampered, "1.2.3"):
        answer = await asked(application, one)
        assert answer.status_code == 404, one
        assert self_check.PROOF not in answer.headers
        assert {**answer.json(), "request_id": 0}.keys() == {**nowhere, "request_id": 0}.keys()
        assert answer.json()["code"] == "not_found"


async def test_it_is_in_no_document(client: Client) -> None:
    assert self_check.PATH not in (await client.get("/openapi.json")).json()["paths"]


def test_an_answer_to_another_challenge_or_with_another_body_is_not_believed() -> None:
    vault = Vault(parse_keys(new_key()))
    reflection = self_check.RequestEcho.model_validate(
        {
            "database_fingerprint": None,
            "public_url": "u",
            "now": "2026-11-25T04:00:00Z",
            "client": None,
            "forwarded_for": None,
        }
    )
    body, proof = self_check.signed(vault, "nonce", reflection)
    assert self_check.read_answer(vault, "nonce", body, proof) == reflection
    assert self_check.read_answer(vault, "other", body, proof) is None
    assert self_check.read_answer(vault, "nonce", body.replace(b"u", b"v"), proof) is None
    assert self_check.read_answer(Vault(parse_keys(new_key())), "nonce", body, proof) is None
    for broken in ("", "no hex", proof[:-2], proof + "00"):
        assert self_check.read_answer(vault, "nonce", body, broken) is None


def test_a_ring_in_rotation_proves_with_any_of_its_keys() -> None:
    first, second = new_key(), new_key()
    before, after = Vault(parse_keys(f"{first},{second}")), Vault(parse_keys(f"{second},{first}"))
    assert after.is_proven(b"message", before.prove(b"message"))
    assert before.is_proven(b"message", after.prove(b"message"))
    assert not before.is_proven(b"another", after.prove(b"message"))


def test_no_proof_of_a_question_is_one_of_an_answer() -> None:
    """A stranger who sends our own words back proves nothing."""
    vault = Vault(parse_keys(new_key()))
    asked, answered = self_check._asked("n"), self_check._answered("n", b"{}")
    assert not vault.is_proven(answered, vault.prove(asked))
    assert not vault.is_proven(asked, vault.prove(answered))
