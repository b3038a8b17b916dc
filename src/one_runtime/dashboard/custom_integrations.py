"""The custom integrations of an organization: the list, and an editor that shows the effects before it saves."""

import hashlib
from dataclasses import dataclass
from typing import Final, NamedTuple

from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from one_runtime.catalog.custom import CustomEntry, as_yaml, syntax_of, written
from one_runtime.catalog.custom_example import EXAMPLE
from one_runtime.catalog.source import SourceError
from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.form_bodies import MAX_TEXT
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.errors import Conflict
from one_runtime.integrations import custom
from one_runtime.integrations.custom import CustomIntegrationResult, IntegrationExists, IntegrationInUse
from one_runtime.integrations.custom_preview import CustomPreview, preview
from one_runtime.integrations.entry_process import EntryDocument
from one_runtime.lifecycle import disconnect

CUSTOM_INTEGRATIONS: Final = f"{ORGANIZATION}/custom-integrations"
_ONE: Final = f"{CUSTOM_INTEGRATIONS}/{{custom_slug}}"
_SHOWN_LINE: Final = 120
_REAUTH: Final = "End users have to connect again, because credentials go to new places."
_CLIENT: Final = "One Runtime deleted the OAuth client. Register the client again."

pages = Pages(
    {
        "saved": "The definition is saved.",
        "saved_reauth": f"The definition is saved. {_REAUTH}",
        "saved_client": f"The definition is saved. {_CLIENT}",
        "saved_reauth_client": f"The definition is saved. {_REAUTH} {_CLIENT}",
        "deleted": "The integration is deleted.",
    }
)


class LineError(NamedTuple):
    """An error in a document. `line`: the number of the line, or None. `excerpt`: the beginning of this line."""

    line: int | None
    sentence: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Editor:
    """The form with a document. `digest`: see `_digest`. Without a preview, an empty text."""

    text: str
    errors: tuple[LineError, ...] = ()
    problem: FormErrors | None = None
    preview: CustomPreview | None = None
    warnings: tuple[str, ...] = ()
    digest: str = ""


@pages.get(CUSTOM_INTEGRATIONS, access="read")
async def list_custom_integrations(visit: Visit) -> Response:
    """List the custom integrations of the organization."""
    async with visit.installation.database.read() as tx:
        results = await custom.list_all(tx, visit.organization_id)
    return visit.render("custom_integrations.html", title="Custom integrations", results=results)


@pages.get(f"{CUSTOM_INTEGRATIONS}/new", access="develop")
async def show_new(visit: Visit) -> Response:
    """Show the editor with an example."""
    return _show(visit, None, Editor(as_yaml(EXAMPLE)))


@pages.post(f"{CUSTOM_INTEGRATIONS}/new", access="develop")
async def create_integration(visit: Visit) -> Response:
    """Show the effects of a new document, or store the document after its review."""
    return await _review_or_save(visit, None)


@pages.get(_ONE, access="read")
async def show_custom_integration(visit: Visit) -> Response:
    """Show the definition in the editor."""
    present = await _present(visit)
    return _show(visit, present, Editor(_text_of(present)))


@pages.post(_ONE, access="develop")
async def replace_integration(visit: Visit) -> Response:
    """Show the effects of a changed document, or store the document after its review."""
    return await _review_or_save(visit, await _present(visit))


@pages.post(f"{_ONE}/delete", access="develop")
async def delete_integration(visit: Visit) -> Response:
    """Delete the integration. With `delete_connections`, also delete its connections."""
    present = await _present(visit)
    slug, form = present.registered.integration.slug, await visit.form()
    try:
        if "delete_connections" in form:
            await disconnect.delete_integration(visit.installation, visit.actor, slug)
        else:
            await custom.delete(visit.installation, visit.actor, slug)
    except IntegrationInUse:
        problem = FormErrors(
            general="The integration has connections. To delete it, also choose to delete its connections."
        )
        return _show(visit, present, Editor(_text_of(present), problem=problem), status=409)
    return visit.redirect("custom-integrations", done="deleted")


async def _review_or_save(visit: Visit, present: CustomIntegrationResult | None) -> Response:
    form = await visit.form()
    text, problem = await _document(form)
    if problem is not None:
        return _show(visit, present, Editor(text, problem=FormErrors({"document": problem})), status=422)
    slug = present.registered.integration.slug if present is not None else None
    document = EntryDocument(text, syntax_of(text), slug, allow_http=not visit.installation.settings.secure)
    try:
        entry = await visit.services.entry_parser.parse(visit.organization_id, document)
    except SourceError as error:
        return _show(visit, present, Editor(text, errors=tuple(_line_errors(error, text))), status=422)
    digest = _digest(present, text)
    if form.get("step") == "save" and form.get("reviewed") == digest:
        return await _save(visit, present, entry, text)
    effects = await preview(visit.installation, visit.organization_id, entry)
    if effects.is_new == (present is None):
        return _show(visit, present, Editor(text, preview=effects, warnings=entry.warnings, digest=digest))
    problem = f"The integration {entry.integration.slug} exists already. Open its page to change it."
    return _show(visit, present, Editor(text, problem=FormErrors(general=problem)), status=409)


def _digest(present: CustomIntegrationResult | None, text: str) -> str:
    """Return a hash of a document and of the time of the definition with which a review compares the document.

    After a change by another member, the hash differs, so that the dashboard shows a new review.
    """
    changed = present.registered.updated_at.isoformat() if present is not None else ""
    return hashlib.sha256(f"{changed}\n{text}".encode()).hexdigest()


async def _save(visit: Visit, present: CustomIntegrationResult | None, entry: CustomEntry, text: str) -> Response:
    """Store a reviewed document."""
    slug = entry.integration.slug
    try:
        if present is None:
            async with visit.installation.database.write() as tx:
                await custom.create(tx, visit.installation, visit.actor, entry)
            return visit.redirect("integrations", slug, done="created")
        put = await custom.put(visit.installation, visit.actor, entry)
    except IntegrationExists:
        detail = f"The integration {slug} exists already. Open its page to change it."
        return _show(visit, present, Editor(text, problem=FormErrors(general=detail)), status=409)
    except Conflict as error:
        return _show(visit, present, Editor(text, problem=FormErrors(general=error.detail)), status=409)
    return visit.redirect("custom-integrations", slug, done=_done(put))


def _done(put: CustomIntegrationResult) -> str:
    """Return the code of the message after a change."""
    return "saved" + ("_reauth" if put.invalidated else "") + ("_client" if put.client_retired else "")


async def _document(form: FormData) -> tuple[str, str | None]:
    """Return the document of a form, and the reason why it cannot be read. An uploaded file replaces the text."""
    text, upload = str(form.get("document", "")), form.get("file")
    if isinstance(upload, UploadFile) and upload.filename:
        if (upload.size or 0) > MAX_TEXT:
            return text, f"is too large: a file can have at most {MAX_TEXT // 1024 // 1024} MB"
        try:
            text = (await upload.read()).decode()
        except UnicodeDecodeError:
            return text, "must be a text file in UTF-8"
    text = text.replace("\r\n", "\n")
    return text, None if text.strip() else "is required. Paste a definition or an OpenAPI document, or choose a file"


def _line_errors(error: SourceError, text: str) -> list[LineError]:
    lines = text.splitlines()
    return [
        LineError(
            complaint.line,
            complaint.statement,
            lines[complaint.line - 1].strip()[:_SHOWN_LINE] if complaint.line and complaint.line <= len(lines) else "",
        )
        for complaint in error.complaints
    ]


async def _present(visit: Visit) -> CustomIntegrationResult:
    """Return the integration of the path. Raises: NotFound."""
    async with visit.installation.database.read() as tx:
        return await custom.get(tx, visit.organization_id, visit.parameter("custom_slug"))


def _text_of(present: CustomIntegrationResult) -> str:
    integration = present.registered.integration
    return as_yaml(written(integration, integration.logo))


def _show(visit: Visit, present: CustomIntegrationResult | None, editor: Editor, *, status: int = 200) -> Response:
    integration = present.registered.integration if present is not None else None
    return visit.render(
        "custom_integration.html",
        status=status,
        title=integration.name if integration is not None else "New custom integration",
        integration=integration,
        present=present,
        editor=editor,
    )
