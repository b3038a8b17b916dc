"""Hashes of passwords."""

import asyncio
import threading
import time
from statistics import median

import pytest

from one_runtime.encryption import vault
from one_runtime.encryption.password_hashing import PasswordHashing
from one_runtime.errors import Unavailable
from tests.figures import Figures


async def test_hash_has_the_recommended_parameters_and_a_random_salt() -> None:
    hashing = PasswordHashing()
    first, second = await hashing.hash(b"password"), await hashing.hash(b"password")
    assert first != second
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert vault.has_current_parameters(first)
    assert await hashing.verify(b"password", first)
    assert not await hashing.verify(b"Password", first)


async def test_no_password_matches_without_a_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    assert vault.has_current_parameters(vault.NO_PASSWORD_HASH)
    monkeypatch.setattr(vault, "NO_PASSWORD_HASH", vault.hash_password(b"found"))
    assert not await PasswordHashing().verify(b"found", None)


async def test_at_most_two_hashes_are_computed_at_once_and_few_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, free = 0, 0, threading.Event()
    lock = threading.Lock()

    def verify(password: bytes, phc: str) -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        free.wait(10)
        with lock:
            running -= 1
        return True

    monkeypatch.setattr(vault, "verify_password", verify)
    hashing = PasswordHashing(most_waiting=3)
    sign_ins = [asyncio.create_task(hashing.verify(b"", "hash")) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="Try again in a few seconds") as caught:
        await hashing.verify(b"", "hash")
    assert caught.value.retry_after == 2
    sign_ins[4].cancel()  # the browser has closed its connection
    free.set()
    assert await asyncio.gather(*sign_ins[:4]) == [True] * 4
    assert most == 2
    assert await hashing.verify(b"", "hash")


@pytest.mark.soak
@pytest.mark.alone
async def test_verification_takes_as_long_for_an_unknown_account(figures: Figures) -> None:
    """The acceptance is a difference of less than 5 ms between the medians. The verifications alternate."""
    hashing = PasswordHashing()
    known, times = await hashing.hash(b"password"), dict[str | None, list[float]]()
    for _ in range(200):
        for phc in (known, None):
            begun = time.perf_counter()
            assert not await hashing.verify(b"another password", phc)
            times.setdefault(phc, []).append(time.perf_counter() - begun)
    medians = [1000 * median(times[phc]) for phc in (known, None)]
    figures(f"median of a wrong password {medians[0]:.1f} ms, of an unknown account {medians[1]:.1f} ms")
    assert abs(medians[0] - medians[1]) < 5


@pytest.mark.soak
@pytest.mark.alone
async def test_event_loop_runs_while_passwords_are_hashed(figures: Figures) -> None:
    hashing, pauses = PasswordHashing(), list[float]()
    work = asyncio.gather(*(hashing.hash(b"password") for _ in range(20)))
    while not work.done():
        begun = time.perf_counter()
        await asyncio.sleep(0)
        pauses.append(time.perf_counter() - begun)
    figures(f"longest pause of the event loop {1000 * max(pauses):.1f} ms, in {len(pauses)} rounds")
    assert len(pauses) > 1000
