"""Webhook endpoints: list, create, change, test and delete them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from starlette.datastructures import FormData
from starlette.responses import Response

from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.db.engine import Transaction
from one_runtime.errors import Conflict, InvalidInput, NotFound, OneRuntimeError
from one_runtime.explanations.webhook_errors import DELIVERY_ERRORS
from one_runtime.tenancy.event_deliveries import ALL_TYPES
from one_runtime.tenancy.event_types import TYPES
from one_runtime.validation.names import text_problem
from one_runtime.webhooks import endpoints, samples, secrets
from one_runtime.webhooks.endpoints import EndpointDetails, WebhookEndpoint, clean_url
from one_runtime.webhooks.samples import send_test

LIST: Final = f"{ORGANIZATION}/webhooks"
ONE: Final = f"{LIST}/{{webhook_endpoint_id}}"
OVERLAPS: Final = {"0": "no time", "3600": "1 hour", "86400": "24 hours", "604800": "7 days"}
"""Times for which One Runtime signs with the old secret too, by their seconds."""

_MAX_DESCRIPTION: Final = 500
_NAMES: Final = {"Api key": "API key", "Oauth client": "OAuth client"}
_FIELDS: Final = ("url", "description", "event_types")

_EXAMPLE: Final = "https://app.example.com/hooks/one-runtime"

pages = Pages({"deleted": "The webhook endpoint is deleted."})


@dataclass(frozen=True, slots=True)
class EndpointForm:
    """The values of the form of an endpoint."""

    kind: str = "push"
    url: str = ""
    description: str = ""
    event_types: Sequence[str] = (ALL_TYPES,)
    includes_connection: bool = False

    @classmethod
    def of(cls, form: FormData) -> "EndpointForm":
        """Return the posted values."""
        return cls(
            kind="pull" if form.get("kind") == "pull" else "push",
            url=str(form.get("url", "")).strip(),
            description=str(form.get("description", "")).strip(),
            event_types=[str(each) for each in form.getlist("event_types")],
            includes_connection=form.get("include") == "connection",
        )

    @property
    def include(self) -> list[str]:
        """Return the documents that each message contains."""
        return ["connection"] if self.includes_connection else []

    def expand_types(self) -> list[str]:
        """Return the chosen types. Raises: InvalidInput."""
        if not self.event_types:
            raise InvalidInput.of("event_types", "must contain at least one type. Choose types, or all events")
        return endpoints.expand(self.event_types)

    def check_description(self) -> None:
        """Raises: InvalidInput."""
        if len(self.description) > _MAX_DESCRIPTION:
            raise InvalidInput.of("description", f"must have at most {_MAX_DESCRIPTION} characters")
        if problem := text_problem(self.description):
            raise InvalidInput.of("description", problem)


@pages.get(LIST, access="read")
async def list_endpoints(visit: Visit) -> Response:
    """Show all endpoints of the organization."""
    async with visit.installation.database.read() as tx:
        rows = await endpoints.list_all(tx, visit.organization_id)
        detailed = await endpoints.details(tx, visit.organization_id, rows)
    return visit.render("webhooks.html", title="Webhooks", endpoints=detailed)


@pages.get(f"{LIST}/new", access="develop")
async def show_new_endpoint(visit: Visit) -> Response:
    """Show the form for a new endpoint."""
    return _new_page(visit, EndpointForm("pull" if visit.query("kind") == "pull" else "push"), None)


@pages.post(f"{LIST}/new", access="develop")
async def create_endpoint(visit: Visit) -> Response:
    """Create an endpoint. The response shows the secret, once."""
    form = EndpointForm.of(await visit.form())
    try:
        endpoint, secret = await _create(visit, form)
    except (InvalidInput, Conflict) as error:
        return _new_page(visit, form, error)
    return _secret_page(visit, endpoint, secret, "The webhook endpoint exists")


async def _create(visit: Visit, form: EndpointForm) -> tuple[WebhookEndpoint, str]:
    """Raises: InvalidInput; Conflict."""
    form.check_description()
    kinds = form.expand_types()
    url = await clean_url(visit.installation.webhook_egress, form.url) if form.kind == "push" else None
    endpoint = endpoints.new(
        visit.organization_id, url=url, description=form.description, include=form.include, now=visit.now
    )
    async with visit.installation.database.write() as tx:
        await endpoints.create(tx, visit.actor, endpoint, kinds)
        secret = await secrets.create(tx, visit.installation.vault, endpoint, visit.now)
    return endpoint, secret


@pages.get(f"{ONE}/settings", access="develop")
async def show_settings(visit: Visit) -> Response:
    """Show the settings of an endpoint, the rotation of its secret, and its deletion."""
    async with visit.installation.database.read() as tx:
        present = await _details(visit, tx)
    endpoint = present.endpoint
    form = EndpointForm(endpoint.kind, "", endpoint.description, present.event_types, "connection" in endpoint.include)
    return _settings_page(visit, present, form, None)


@pages.post(f"{ONE}/settings", access="develop")
async def save_settings(visit: Visit) -> Response:
    """Store the settings. An empty URL keeps the present URL, whose query can contain a secret."""
    form = EndpointForm.of(await visit.form())
    async with visit.installation.database.read() as tx:
        present = await _details(visit, tx)
    try:
        form.check_description()
        kinds = form.expand_types()
        changes: dict[str, object] = {"description": form.description, "include": form.include}
        if form.url and present.endpoint.kind == "push":
            changes["url"] = await clean_url(visit.installation.webhook_egress, form.url)
    except InvalidInput as error:
        return _settings_page(visit, present, form, error)
    async with visit.installation.database.write() as tx:
        present = await _details(visit, tx, lock=True)
        changed = endpoints.change(present.endpoint, changes)
        await endpoints.save(tx, visit.actor, present, changed, kinds, visit.now)
    return visit.redirect("webhooks", present.endpoint.id, done="saved")


@pages.post(f"{ONE}/status", access="develop")
async def change_status(visit: Visit) -> Response:
    """Pause or activate an endpoint."""
    status = "paused" if (await visit.form()).get("status") == "paused" else "active"
    async with visit.installation.database.write() as tx:
        present = await _details(visit, tx, lock=True)
        changed = endpoints.change(present.endpoint, {"status": status})
        await endpoints.save(tx, visit.actor, present, changed, present.event_types, visit.now)
    return visit.redirect("webhooks", changed.id, done="paused" if status == "paused" else "activated")


@pages.post(f"{ONE}/settings/secret", access="develop", recent=True)
async def rotate_secret(visit: Visit) -> Response:
    """Replace the secret. The response shows the new secret, once."""
    seconds = str((await visit.form()).get("overlap", ""))
    overlap = timedelta(seconds=int(seconds) if seconds in OVERLAPS else 0)
    async with visit.installation.database.write() as tx:
        endpoint = await find_endpoint(visit, tx, lock=True)
        secret = await secrets.rotate(
            tx, visit.installation.vault, visit.actor, endpoint, overlap=overlap, now=visit.now
        )
    return _secret_page(visit, endpoint, secret, "The webhook endpoint has a new secret", visit.now + overlap)


@pages.post(f"{ONE}/test", access="develop")
async def test_endpoint(visit: Visit) -> Response:
    """Send a test message, and show the receiver's answer."""
    kind = str((await visit.form()).get("type", samples.TEST))
    async with visit.installation.database.read() as tx:
        endpoint = await find_endpoint(visit, tx)
    try:
        result, problem = await send_test(visit.installation, visit.actor, endpoint.id, kind), None
    except (InvalidInput, Conflict) as error:
        result, problem = None, error
    return visit.render(
        "webhook_test.html",
        status=200 if problem is None else problem.status,
        title="Test message",
        endpoint=endpoint,
        kind=kind,
        result=result,
        problem=problem,
        explanation=DELIVERY_ERRORS.get(result.attempt.error or "") if result is not None else None,
    )


@pages.post(f"{ONE}/delete", access="develop")
async def delete_endpoint(visit: Visit) -> Response:
    """Delete an endpoint with its deliveries."""
    async with visit.installation.database.write() as tx:
        await endpoints.remove(tx, visit.actor, await find_endpoint(visit, tx, lock=True), visit.now)
    return visit.redirect("webhooks", done="deleted")


async def find_endpoint(visit: Visit, tx: Transaction, *, lock: bool = False) -> WebhookEndpoint:
    """Return the endpoint in the path. Raises: NotFound."""
    try:
        return await endpoints.get(tx, visit.organization_id, visit.parameter("webhook_endpoint_id"), lock=lock)
    except NotFound as error:
        raise NotFound("There is no such webhook endpoint. It can have been deleted.") from error


async def _details(visit: Visit, tx: Transaction, *, lock: bool = False) -> EndpointDetails:
    endpoint = await find_endpoint(visit, tx, lock=lock)
    return (await endpoints.details(tx, visit.organization_id, [endpoint]))[0]


def _new_page(visit: Visit, form: EndpointForm, error: OneRuntimeError | None) -> Response:
    return visit.render(
        "webhook_new.html",
        status=200 if error is None else error.status,
        title="New webhook endpoint",
        form=form,
        groups=_GROUPS,
        example=_EXAMPLE,
        errors=_errors(error),
    )


def _settings_page(visit: Visit, present: EndpointDetails, form: EndpointForm, error: InvalidInput | None) -> Response:
    return visit.render(
        "webhook_settings.html",
        status=200 if error is None else error.status,
        title="Settings of the endpoint",
        endpoint=present.endpoint,
        form=form,
        groups=_GROUPS,
        overlaps=list(OVERLAPS.items()),
        errors=_errors(error),
    )


def _secret_page(
    visit: Visit, endpoint: WebhookEndpoint, secret: str, title: str, old_until: object = None
) -> Response:
    return visit.render("webhook_secret.html", title=title, endpoint=endpoint, secret=secret, old_until=old_until)


def _errors(error: OneRuntimeError | None) -> FormErrors | None:
    if isinstance(error, InvalidInput):
        return FormErrors.of(error, _FIELDS)
    return FormErrors(general=error.detail) if error is not None else None


def _groups() -> Mapping[str, Sequence[str]]:
    """Return the types of events by the name of their group, such as `Connection`."""
    groups: dict[str, list[str]] = {}
    for kind in TYPES:
        name = kind.partition(".")[0].replace("_", " ").capitalize()
        groups.setdefault(_NAMES.get(name, name), []).append(kind)
    return groups


_GROUPS: Final = _groups()
