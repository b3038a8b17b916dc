"""Render the popup without a session. The dashboard shows this page beside the form with the branding."""

from collections.abc import Callable
from typing import Final

from one_runtime.catalog.auth_types import Auth
from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import Integration
from one_runtime.connect.assets import load_assets
from one_runtime.connect.forms import FormPost
from one_runtime.connect.pages import Site
from one_runtime.connect.screens import Screens
from one_runtime.connecting.popup import PopupView
from one_runtime.connecting.sessions import ConnectSession
from one_runtime.context import Installation
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.organizations import Organization

_SHOWN: Final = "hubspot"
_PREVIEW: Final = "preview"


class PopupPreview:
    """Renders the popup's form. `logo_url` returns the URL of an integration's logo on this server."""

    def __init__(self, installation: Installation, logo_url: Callable[[Integration], str | None]) -> None:
        site = Site(installation.settings.public_url, load_assets().hash, is_inert=True)
        self._screens, self._installation = Screens(site, logo_url), installation

    def render(self, organization: Organization) -> str:
        """Return the HTML of the popup for an organization, which can have unsaved settings."""
        now = self._installation.clock()
        integration, auth = _example(self._installation.catalog)
        session = ConnectSession(
            id=_PREVIEW,
            organization_id=organization.id,
            end_user_id=_PREVIEW,
            integration_slug=integration.slug,
            mode="link",
            auth_type=auth.type,
            scopes=(),
            target_connection_id=None,
            multiple=False,
            suggested_connection_name=None,
            allowed_origins=(),
            metadata={},
            return_url=None,
            created_at=now,
            updated_at=now,
            expires_at=now,
        )
        end_user = EndUser(_PREVIEW, "Ada Lovelace", None, now, now)
        view = PopupView(session, organization, end_user, integration, (auth,))
        page = self._screens.form(view, auth, FormPost(session_token=_PREVIEW, step="show"))
        return bytes(page.body).decode()


def _example(catalog: Catalog) -> tuple[Integration, Auth]:
    """Return an integration with a form, and the auth type of the form."""
    shown = catalog.get(_SHOWN)
    integrations = catalog.integrations if shown is None else (shown,)
    return next((integration, auth) for integration in integrations for auth in integration.auth if auth.fields)
