"""Programs that share a Python client between processes, threads or event loops. Each writes a count of its answers.

Each user of the client asks Acme for its account. The count says how often the answer was the user's own account.
"""

import asyncio
import json
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from one_runtime_client import AsyncOneRuntime, OneRuntime

CHILDREN = 8
THREADS = 32
CALLS = 20

ACCOUNTS: dict[str, str] = json.loads(os.environ.get("TEST_ACCOUNTS", "{}"))
"""The account of each end user."""


def own_account(client: OneRuntime, user: str) -> str:
    """Return the kind of the answer: `own`, `MIXED`, or the class of an error."""
    try:
        answer = client.proxy.get("acme", "/v1/me", end_user_id=user).json()["account"]["id"]
    except Exception as error:
        return type(error).__name__
    return "own" if answer == ACCOUNTS[user] else "MIXED"


async def own_account_async(client: AsyncOneRuntime, user: str) -> str:
    """Return the kind of the answer: `own`, `MIXED`, or the class of an error."""
    try:
        answer = (await client.proxy.get("acme", "/v1/me", end_user_id=user)).json()["account"]["id"]
    except Exception as error:
        return type(error).__name__
    return "own" if answer == ACCOUNTS[user] else "MIXED"


def user_of(number: int) -> str:
    """Return an end user. Neighbouring numbers have different end users."""
    return ("ann", "bob")[number % 2]


def in_children(ask: Callable[[str], list[str]]) -> Counter[str]:
    """Fork, and count the answers of all children."""
    read, write = os.pipe()
    children = []
    for number in range(CHILDREN):
        pid = os.fork()
        if pid == 0:
            os.write(write, f"{json.dumps(ask(user_of(number)))}\n".encode())
            os._exit(0)
        children.append(pid)
    os.close(write)
    with os.fdopen(read) as pipe:
        counted = Counter(answer for line in pipe for answer in json.loads(line))
    for pid in children:
        os.waitpid(pid, 0)
    return counted


def fork() -> Counter[str]:
    """Use a client, fork, and use the client in each child and in the parent."""
    with OneRuntime() as client:
        answers = Counter(own_account(client, user) for user in ACCOUNTS)
        answers += in_children(lambda user: [own_account(client, user) for _ in range(CALLS)])
        return answers + Counter(own_account(client, user) for user in ACCOUNTS)


def fork_async() -> Counter[str]:
    """Use an asynchronous client, fork, and use the client in the event loop of each child."""
    client = AsyncOneRuntime()
    asyncio.run(own_account_async(client, user_of(0)))

    async def several(user: str) -> list[str]:
        return [await own_account_async(client, user) for _ in range(CALLS)]

    return in_children(lambda user: asyncio.run(several(user)))


def threads() -> Counter[str]:
    """Use a client in many threads."""
    with OneRuntime() as client, ThreadPoolExecutor(THREADS) as pool:
        users = [user_of(number) for number in range(THREADS * CALLS // 2)]
        return Counter(pool.map(lambda user: own_account(client, user), users))


def loops() -> Counter[str]:
    """Use an asynchronous client in event loops that follow each other, and in event loops of several threads."""
    client = AsyncOneRuntime()

    async def several(number: int) -> list[str]:
        return await asyncio.gather(*(own_account_async(client, user_of(number + call)) for call in range(CALLS // 2)))

    answers = [asyncio.run(several(number)) for number in range(3)]
    with ThreadPoolExecutor(CHILDREN) as pool:
        answers += pool.map(lambda number: asyncio.run(several(number)), range(CHILDREN))
    asyncio.run(client.close())
    return Counter(answer for several_answers in answers for answer in several_answers)


if __name__ == "__main__":
    programs = {"fork": fork, "fork_async": fork_async, "threads": threads, "loops": loops}
    program = programs[sys.argv[1]]
    # Python reports these warnings on the standard error. A closed event loop cannot close its sockets.
    warnings.simplefilter("ignore" if program in {fork_async, loops} else "error", ResourceWarning)
    sys.stdout.write(json.dumps(program()))
