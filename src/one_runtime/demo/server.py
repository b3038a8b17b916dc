"""Run the demo in one process: One Runtime with its dashboard, a sample product and a sample provider.

The sample product is the settings page of Fernhill, and the sample provider is Acme CRM.
"""

import asyncio
import json as jsonlib
import os
import shlex
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp

from one_runtime.catalog.loader import load_catalog
from one_runtime.computing.isolation import hide_memory
from one_runtime.demo import acme
from one_runtime.demo.acme_entry import ACME, acme_entry, acme_operations, with_acme
from one_runtime.demo.first_start import CUSTOMER, OWNER, DemoData, exclusive, prepare
from one_runtime.demo.hosts import CanonicalHost, LimitedBodies
from one_runtime.demo.sample_product.backend import create_sample_product
from one_runtime.demo.sample_product.product import FIRST_END_USER, SampleProduct
from one_runtime.demo.sockets import bound_socket
from one_runtime.egress.target import AllowList
from one_runtime.errors import ConfigurationError
from one_runtime.oauth.callback import callback_url
from one_runtime.serving.application import create_app
from one_runtime.serving.http_protocol import OPTIONS
from one_runtime.serving.server import allow_open_files
from one_runtime.settings import Settings
from one_runtime.team.invitations import link_url

LOOPBACK: Final = "127.0.0.1"

_PORTS: Final = (
    "The demo needs four free ports in a row. Choose another first port: `one-runtime demo --port 9000`, "
    'or `make run ARGS="--port 9000"`.'
)
_GRACE: Final = 5
"""Seconds that a stopping demo waits for open requests."""


class Addresses:
    """The addresses of One Runtime, the sample product, Acme and the dashboard, on `port` and the next three ports.

    All have different origins, as in production. The dashboard's host is a name, because browsers offer no passkeys for
    an IP address.
    """

    def __init__(self, port: int) -> None:
        self.ports = tuple(range(port, port + 4))
        names = (LOOPBACK, LOOPBACK, LOOPBACK, "localhost")
        self.hosts = tuple(f"{name}:{number}" for name, number in zip(names, self.ports, strict=True))
        self.one_runtime, self.product, self.acme, self.dashboard = (f"http://{host}" for host in self.hosts)


def run_demo(*, port: int, data: Path, json: bool, allow: AllowList = frozenset()) -> None:
    """Run the demo until SIGINT or SIGTERM. `allow`: further targets that One Runtime may call.

    Raises: ConfigurationError if the demo cannot use a port or the data folder.
    """
    if not 1024 <= port <= 65_532:
        raise ConfigurationError("The demo uses four consecutive ports: --port must be between 1024 and 65532.")
    hide_memory()
    allow_open_files()
    addresses = Addresses(port)
    with exclusive(data), ExitStack() as stack:
        sockets = [stack.enter_context(bound_socket(LOOPBACK, number, _PORTS)) for number in addresses.ports]
        demo = asyncio.run(prepare(data, addresses.product, acme_entry(addresses.acme)))
        apps = _create_apps(addresses, demo, allow)
        servers = [_Server(app, number) for app, number in zip(apps, addresses.ports, strict=False)]
        listeners = [[sockets[0], sockets[3]], [sockets[1]], [sockets[2]]]  # the dashboard is a part of One Runtime
        text = _start_up_line(addresses, demo) if json else _welcome(addresses, demo, colour=_wants_colour())
        with asyncio.Runner(loop_factory=servers[0].config.get_loop_factory()) as runner, _stopping(servers):
            runner.run(_serve(servers, listeners, lambda: print(text, flush=True)))  # noqa: T201 - the start-up text


def _create_apps(addresses: Addresses, demo: DemoData, allow: AllowList) -> tuple[ASGIApp, ASGIApp, ASGIApp]:
    """Return the applications: One Runtime, the sample product and Acme.

    One Runtime's catalog also contains Acme. One Runtime refuses requests to loopback addresses, so the setting
    `egress_allow` contains the address of Acme, and of the sample product, which receives webhooks.
    """
    host, product_host, acme_host, dashboard_host = addresses.hosts
    settings = Settings(
        public_url=addresses.one_runtime,
        listen=host,
        dashboard_url=addresses.dashboard,
        dashboard_listen=f"{LOOPBACK}:{addresses.ports[3]}",
        database_url=SecretStr(demo.database_url),
        encryption_keys=SecretStr(demo.encryption_keys),
        egress_allow=allow | {(LOOPBACK, port) for port in addresses.ports[1:3]},
        log_level="warning",
        log_format="console",
    )
    catalog, operations = with_acme(load_catalog(), addresses.acme), [partial(acme_operations, addresses.acme)]
    provider = acme.Acme(demo.acme_keys)
    client, callback = demo.acme_client, callback_url(addresses.one_runtime, ACME)
    provider.register_client(callback, name=CUSTOMER, client_id=client.client_id, client_secret=client.client_secret)
    keys = {account.name: account.key for account in provider.accounts.values()}
    product = SampleProduct(addresses.product, addresses.one_runtime, demo.api_key, keys, demo.webhook_secret)
    return (
        CanonicalHost(create_app(settings, catalog, operations=operations), host=host, others=(dashboard_host,)),
        CanonicalHost(LimitedBodies(create_sample_product(product)), host=product_host, redirect=True),
        CanonicalHost(LimitedBodies(provider.app), host=acme_host),
    )


class _Server(uvicorn.Server):
    """A server that does not handle signals. When the server is ready, it sets the event `up`."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        config = uvicorn.Config(
            app,
            host=LOOPBACK,
            port=port,
            **OPTIONS,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE,
        )
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(
    servers: Sequence[_Server], listeners: Sequence[list[socket.socket]], announce: Callable[[], None]
) -> None:
    tasks = [asyncio.create_task(server.serve(bound)) for server, bound in zip(servers, listeners, strict=True)]
    up = asyncio.create_task(_all_up(servers))
    await asyncio.wait([up, *tasks], return_when=asyncio.FIRST_COMPLETED)
    if up.done():
        announce()
    up.cancel()
    await asyncio.gather(*tasks)


async def _all_up(servers: Sequence[_Server]) -> None:
    for server in servers:
        await server.up.wait()


@contextmanager
def _stopping(servers: Sequence[_Server]) -> Iterator[None]:
    """Stop all three servers at SIGINT or SIGTERM.

    After a second SIGINT, the servers no longer wait for open requests.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        for server in servers:
            server.handle_exit(number, frame)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start_up_line(addresses: Addresses, demo: DemoData) -> str:
    """Return the start-up line for programs. The line always contains the API key, even if the key is not new."""
    return jsonlib.dumps(
        {
            "url": addresses.one_runtime,
            "product": addresses.product,
            "api_key": demo.api_key,
            "end_user_id": FIRST_END_USER,
            "acme_key": demo.acme_keys[acme.GLOBEX],
            "acme_keys": dict(demo.acme_keys),
            "acme": addresses.acme,
            "dashboard": addresses.dashboard,
            "dashboard_link": _dashboard_link(addresses, demo),
            "data": str(demo.folder.absolute()),
        }
    )


def _welcome(addresses: Addresses, demo: DemoData, *, colour: bool) -> str:
    bold, soft, link, plain = ("\033[1m", "\033[2m", "\033[4;36m", "\033[0m") if colour else ("", "", "", "")
    key_file = shlex.quote(str(demo.api_key_file))
    key = demo.api_key if demo.api_key_is_new else f"$(cat {key_file})"
    query = f"end_user_id={FIRST_END_USER}&logo=none&slug={ACME}"
    return f"""
  {bold}One Runtime{plain} is running. Open the sample product and connect an account:

    {link}{addresses.product}{plain}

  For your team, there is the dashboard. This link signs you in once (each start prints a new link):

    {link}{_dashboard_link(addresses, demo)}{plain}
{_about_the_link(addresses, demo)}
  The sample product is the settings page of {CUSTOMER}, a fictional product that embeds One Runtime.
  Acme CRM is the demo's provider. Sign in at Acme CRM, or paste the API key of an account:

    Globex   {demo.acme_keys[acme.GLOBEX]}
    Initech  {demo.acme_keys[acme.INITECH]}

  Acme's switches simulate faults: {addresses.acme}/switches

  Then ask in another terminal if the end user {bold}{FIRST_END_USER}{plain} has connected Acme CRM:

export ONE_RUNTIME_API_KEY={key}
curl -H "Authorization: Bearer $ONE_RUNTIME_API_KEY" "{addresses.one_runtime}/v1/integrations?{query}"

  {soft}{_about_the_key(demo)}
  Documentation  {addresses.one_runtime}/docs
  Stop           Ctrl+C{plain}
"""


def _dashboard_link(addresses: Addresses, demo: DemoData) -> str:
    return link_url(addresses.dashboard, demo.invitation)


def _about_the_link(addresses: Addresses, demo: DemoData) -> str:
    if not demo.link_resets_sign_in:
        return ""
    return (
        f"\n  The link deletes the passkeys, the password and the sessions of {OWNER}.\n"
        f"  If you can still sign in, use {addresses.dashboard} instead.\n"
    )


def _about_the_key(demo: DemoData) -> str:
    file = demo.api_key_file
    if demo.api_key_is_new:
        return f"API key        shown only now, and stored in {file} for the sample product"
    database = f"ONE_RUNTIME_DATABASE_URL={shlex.quote(demo.database_url)}"
    another = f"{database} one-runtime api-keys create {demo.organization_id}"
    return f"API key        stored in {file}. This command creates another key:\n  {another}"


def _wants_colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ
