"""Limits of attempts to sign in."""

import asyncio

import pytest

from one_runtime.db.schema import sign_in_attempts
from one_runtime.errors import RateLimited
from one_runtime.team.sign_in import attempts
from one_runtime.team.sign_in.attempts import Bucket, StoredAttempt
from tests.application import Application
from tests.team.sign_in.members import count

ACCOUNT = attempts.of_browser("ada", "laptop")


async def begin(application: Application, *buckets: Bucket) -> StoredAttempt:
    return await attempts.begin(application.installation, *buckets)


async def test_eleventh_failed_attempt_in_a_minute_is_refused(application: Application) -> None:
    for _ in range(10):
        await begin(application, ACCOUNT)
    for _ in range(3):
        with pytest.raises(RateLimited, match=r"Try again in \d+ seconds") as caught:
            await begin(application, ACCOUNT)
        assert 50 < caught.value.retry_after <= 60
    await begin(application, attempts.of_browser("grace", "laptop"))
    assert await count(application, sign_in_attempts) == 11  # refused attempts leave no row
    application.clock.advance(seconds=61)
    await begin(application, ACCOUNT)


async def test_successful_attempt_does_not_count(application: Application) -> None:
    network = attempts.of_network("192.0.2.1")
    for _ in range(12):
        attempt = await begin(application, ACCOUNT, network)
        async with application.installation.database.write() as tx:
            await attempts.forgive(tx, attempt)
    assert await count(application, sign_in_attempts) == 0


async def test_parallel_attempts_do_not_pass_the_limit(application: Application) -> None:
    results = await asyncio.gather(*(begin(application, ACCOUNT) for _ in range(40)), return_exceptions=True)
    assert {type(result) for result in results} == {StoredAttempt, RateLimited}
    accepted = sum(isinstance(result, StoredAttempt) for result in results)
    assert 1 <= accepted <= 10
    assert await count(application, sign_in_attempts) == accepted


@pytest.mark.parametrize(
    "first, second, same",
    [
        ("192.0.2.1", "192.0.2.254", True),
        ("192.0.2.1", "::ffff:192.0.2.9", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("2001:db8::1", "2001:db8::ffff:0:0:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        (None, "unix", True),
    ],
)
def test_network_is_a_prefix_of_the_address(first: str | None, second: str, same: bool) -> None:
    assert (attempts.of_network(first) == attempts.of_network(second)) is same


async def test_account_has_limits_in_a_network_and_in_all_networks(application: Application) -> None:
    """Security L3. One network fills only its own bucket, and the limit of all networks stops distributed guesses."""
    email, total = "ada@example.com", attempts.of_account("ada@example.com")
    for network in range(10):
        here = attempts.of_account_in_network(email, f"192.0.{network}.1")
        for _ in range(30):
            await begin(application, total, here)
        if network < 9:
            with pytest.raises(RateLimited):
                await begin(application, total, attempts.of_account_in_network(email, f"192.0.{network}.200"))
            await begin(application, attempts.of_account_in_network(email, f"192.0.{network + 100}.1"))
    with pytest.raises(RateLimited) as caught:
        await begin(application, total)
    assert 3000 < caught.value.retry_after <= 3600
    application.clock.advance(hours=1, seconds=1)
    await begin(application, total, attempts.of_account_in_network(email, "192.0.0.1"))


def test_kinds_of_buckets_differ() -> None:
    kinds = (
        attempts.of_account, attempts.of_network, attempts.of_second_step, attempts.of_challenges, attempts.of_steps,
    )  # fmt: skip
    assert len({kind("192.0.2.0/24").hash for kind in kinds}) == 5


async def test_purge_deletes_attempts_that_no_limit_counts(application: Application) -> None:
    await begin(application, attempts.of_second_step("member"))
    application.clock.advance(seconds=3599)
    assert await attempts.purge(application.installation) == 0
    application.clock.advance(seconds=2)
    assert await attempts.purge(application.installation) == 1
