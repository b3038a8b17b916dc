"""The vault: a sealed value opens only in its row, under its key, for its organization (P3)."""

import base64
import secrets
from dataclasses import replace

import pytest
from pydantic import SecretStr

from one_runtime.encryption.vault import (
    KEY_BYTES,
    KeyNotInRing,
    SealBroken,
    SealContext,
    Sealed,
    Vault,
    key_id,
    new_key,
    parse_keys,
)
from one_runtime.errors import ConfigurationError
from one_runtime.serving.application import create_app
from one_runtime.settings import Settings, load_settings
from tests.application import RunningAcme, started

pytestmark = pytest.mark.promise("P3")

KEY = bytes(range(KEY_BYTES))
OTHER_KEY = bytes(reversed(range(KEY_BYTES)))
ID, OTHER_ID = key_id(KEY), key_id(OTHER_KEY)
PLACE = SealContext("credentials", "0197f4a0-0000-7000-8000-000000000001", 1)
NORTHWIND, SOUTHWIND = "organization-1", "organization-2"
SECRET = b'{"api_key": "acme_very_secret_0123456789"}'


def test_sealed_value_opens_in_its_place() -> None:
    vault = Vault([KEY])
    sealed = vault.seal(ID, NORTHWIND, SECRET, PLACE)
    assert vault.open(NORTHWIND, sealed, PLACE) == SECRET
    assert SECRET not in sealed.data


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(PLACE, table="oauth_clients"),
        replace(PLACE, row="0197f4a0-0000-7000-8000-000000000002"),
        replace(PLACE, version=2),
        SealContext("credential", "s" + PLACE.row, 1),
        SealContext(PLACE.table, f"{PLACE.row}\x001", 1),
    ],
    ids=["table", "row", "version", "shifted boundary", "boundary in a row"],
)
def test_sealed_value_opens_in_no_other_place(elsewhere: SealContext) -> None:
    vault = Vault([KEY])
    sealed = vault.seal(ID, NORTHWIND, SECRET, PLACE)
    with pytest.raises(SealBroken):
        vault.open(NORTHWIND, sealed, elsewhere)


def test_sealed_value_opens_for_no_other_organization() -> None:
    vault = Vault([KEY])
    with pytest.raises(SealBroken):
        vault.open(SOUTHWIND, vault.seal(ID, NORTHWIND, SECRET, PLACE), PLACE)


def test_sealed_value_opens_under_no_other_key() -> None:
    sealed = Vault([KEY]).seal(ID, NORTHWIND, SECRET, PLACE)
    with pytest.raises(SealBroken, match="not in the ring"):
        Vault([OTHER_KEY]).open(NORTHWIND, sealed, PLACE)
    with pytest.raises(SealBroken):
        Vault([OTHER_KEY]).open(NORTHWIND, Sealed(key_id(OTHER_KEY), sealed.data), PLACE)


def test_sealed_value_with_any_changed_byte_does_not_open() -> None:
    vault = Vault([KEY])
    sealed = vault.seal(ID, NORTHWIND, SECRET, PLACE)
    for index in range(len(sealed.data)):
        changed = bytearray(sealed.data)
        changed[index] ^= 1
        with pytest.raises(SealBroken):
            vault.open(NORTHWIND, replace(sealed, data=bytes(changed)), PLACE)


@pytest.mark.parametrize("length", [0, 1, 12, 13, 28])
def test_truncated_sealed_value_does_not_open(length: int) -> None:
    vault = Vault([KEY])
    sealed = vault.seal(ID, NORTHWIND, SECRET, PLACE)
    with pytest.raises(SealBroken):
        vault.open(NORTHWIND, replace(sealed, data=sealed.data[:length]), PLACE)


def test_equal_values_are_sealed_to_different_bytes() -> None:
    vault = Vault([KEY])
    sealed = {vault.seal(ID, NORTHWIND, SECRET, PLACE).data for _ in range(100)}
    assert len(sealed) == 100
    assert len({data[1:13] for data in sealed}) == 100


def test_every_organization_has_its_own_subkey() -> None:
    """A value under the key of the ring, or under a shared subkey, would open for these organizations."""
    sealed = Vault([KEY]).seal(ID, NORTHWIND, SECRET, PLACE)
    for other in (SOUTHWIND, "", NORTHWIND + " ", "organization"):
        with pytest.raises(SealBroken):
            Vault([KEY]).open(other, sealed, PLACE)
    assert key_id(KEY) not in KEY.hex()
    assert bytes.fromhex(key_id(KEY)) not in KEY


def test_named_key_seals_and_every_key_of_the_ring_opens() -> None:
    old = Vault([KEY]).seal(ID, NORTHWIND, SECRET, PLACE)
    ring = Vault([OTHER_KEY, KEY])
    assert ring.open(NORTHWIND, old, PLACE) == SECRET
    for key in (ID, OTHER_ID):
        sealed = ring.seal(key, NORTHWIND, SECRET, PLACE)
        assert sealed.key_id == key
        assert ring.open(NORTHWIND, sealed, PLACE) == SECRET


def test_key_outside_the_ring_seals_nothing() -> None:
    for key in (OTHER_ID, "", "first"):
        with pytest.raises(KeyNotInRing, match="ONE_RUNTIME_ENCRYPTION_KEYS"):
            Vault([KEY]).seal(key, NORTHWIND, SECRET, PLACE)


def test_repr_of_a_vault_has_no_key() -> None:
    shown = repr(Vault([KEY]))
    assert key_id(KEY) in shown
    for spelling in (KEY.hex(), base64.b64encode(KEY).decode(), repr(KEY)):
        assert spelling not in shown


def test_new_key_is_32_random_bytes() -> None:
    keys = {parse_keys(new_key())[0] for _ in range(50)}
    assert len(keys) == 50
    assert {len(key) for key in keys} == {KEY_BYTES}


@pytest.mark.parametrize("separator", [",", "\n", ", ", " \n "])
def test_keys_of_a_ring_are_separated_by_commas_or_lines(separator: str) -> None:
    written = separator.join(base64.b64encode(key).decode() for key in (KEY, OTHER_KEY))
    assert parse_keys(f"{written}\n") == (KEY, OTHER_KEY)


@pytest.mark.parametrize("text", ["not base64!", "YWJj*", "a", "ä"])
def test_invalid_base64_ring_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        parse_keys(text)
    assert text not in refusal.value.detail.split()


@pytest.mark.parametrize("length", [1, 16, 31, 33, 64])
def test_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ConfigurationError, match="32-byte keys"):
        Vault([KEY, secrets.token_bytes(length)])


@pytest.mark.parametrize("text", ["", "  \n", ","])
def test_empty_ring_stops_the_start(text: str) -> None:
    settings = Settings.model_validate({"encryption_keys": SecretStr(text), "database_url": "sqlite:///unused.db"})
    with pytest.raises(ConfigurationError, match="keys new"):
        create_app(settings)


def test_missing_key_setting_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match="ONE_RUNTIME_ENCRYPTION_KEYS"):
        create_app(load_settings({}))


def with_ring(settings: Settings, *keys: str) -> Settings:
    return settings.model_copy(update={"encryption_keys": SecretStr(",".join(keys))})


async def test_wrong_ring_stops_the_start_and_names_the_missing_key(settings: Settings, acme: RunningAcme) -> None:
    first, second = new_key(), new_key()
    async with started(with_ring(settings, first), acme):
        pass
    with pytest.raises(ConfigurationError) as refusal:
        async with started(with_ring(settings, second), acme):
            pass
    assert key_id(parse_keys(first)[0]) in refusal.value.detail
    assert first not in refusal.value.detail


async def test_ring_may_gain_a_key_but_not_lack_the_active_key(settings: Settings, acme: RunningAcme) -> None:
    first, second = new_key(), new_key()
    async with started(with_ring(settings, first), acme) as application:
        client = application.client(await application.key(await application.organization()))
        connection = await client.connect()
    async with started(with_ring(settings, second, first), acme) as application:
        client = application.client(await application.key(await application.organization()))
        assert (await client.get(f"/v1/connections/{connection['id']}")).status_code == 404
        await client.connect()
    with pytest.raises(ConfigurationError):
        async with started(with_ring(settings, second), acme):
            pass
    async with started(with_ring(settings, first), acme):
        pass
