"""`one-runtime …` with Acme in the catalog: `python -m tests.promises.served_with_acme <Acme's address> …`.

`GET /crash` fails on purpose: the route raises the errors that the query names. `AGENT_PUBLISHER` has the port and the
certificate of the publisher of an agent's document (`tests/agent_clients.py`).
"""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from one_runtime import cli
from one_runtime.api.middleware import RequestMiddleware
from one_runtime.demo.acme_entry import acme_operations
from one_runtime.egress import client
from one_runtime.serving import application, server
from tests.agent_clients import PublisherNetwork
from tests.application import catalog_with_acme
from tests.catalogs import replace_catalog


async def crash(request: Request) -> Response:
    """Raise errors with the input in their messages, as libraries do."""
    value = request.query_params["value"]
    try:
        number = int(value)
    except ValueError as error:
        raise KeyError(value) from error
    return Response(str(number))


def main() -> None:
    """Add Acme to the catalog, and run a command. The first argument is Acme's address. The others are the command."""
    acme_url = sys.argv.pop(1)
    catalog = catalog_with_acme(acme_url)
    create_app = application.create_app

    def create_app_that_crashes(*args: Any, **kwargs: Any) -> RequestMiddleware:
        app = create_app(*args, **kwargs, operations=[partial(acme_operations, acme_url)])
        app.app.router.routes.append(Route("/crash", crash))
        return app

    if "AGENT_PUBLISHER" in os.environ:
        port, _, certificate = os.environ["AGENT_PUBLISHER"].partition(" ")
        vars(client)["Network"] = partial(PublisherNetwork, int(port), Path(certificate))
    replace_catalog(catalog)
    vars(server)["create_app"] = create_app_that_crashes
    cli.main()


if __name__ == "__main__":
    main()
