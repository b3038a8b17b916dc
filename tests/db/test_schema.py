"""The schema: all tables on one page, with indexes and foreign keys that keep the organizations apart."""

import ast
from typing import Final

from one_runtime.db.schema import metadata
from tests.documentation import ROOT
from tests.source_files import nodes, python_files

SCHEMA: Final = ROOT / "src" / "one_runtime" / "db" / "schema.py"
MIGRATIONS: Final = SCHEMA.parent / "migrations" / "versions"
CROSS_TENANT: Final = {
    "ix_members_email": "a member can belong to several organizations",
    "ix_memberships_member_id": "the organizations of a member",
    "ix_invitations_token_hash": "a look-up by the hash of a secret finds the organization",
    "ix_invitations_expires_at": "purges of invitations cover all organizations",
    "ix_passkeys_credential_id": "a look-up by the id of a passkey finds the member",
    "ix_passkeys_member_id": "a member can belong to several organizations",
    "ix_identities_member_id": "a member can belong to several organizations",
    "ix_dashboard_sessions_token_hash": "a look-up by the hash of a secret finds the member",
    "ix_dashboard_sessions_member_id": "a member can belong to several organizations",
    "ix_dashboard_sessions_expires_at": "purges of dashboard sessions cover all members",
    "ix_sign_in_steps_member_id": "sign-in steps are deleted with their member",
    "ix_sign_in_steps_expires_at": "purges of sign-in steps cover all members",
    "ix_sign_in_attempts_bucket_hash_id": "sign-in attempts belong to no organization",
    "ix_totp_secrets_key_id_member_id": "members belong to no organization",
    "ix_credentials_key_id_connection_id": "key rotation covers all organizations",
    "ix_unredeemed_connections_key_id_session_id": "key rotation covers all organizations",
    "ix_unredeemed_connections_due_at": "purges of unredeemed connections cover all organizations",
    "ix_oauth_clients_key_id_id": "key rotation covers all organizations",
    "ix_consents_key_id_id": "key rotation covers all organizations",
    "ix_revocations_key_id_id": "key rotation covers all organizations",
    "ix_idempotency_keys_key_id_id": "key rotation covers all organizations",
    "ix_credentials_refresh_due_at": "token refresh covers all organizations",
    "ix_revocations_due_at": "token revocation covers all organizations",
    "ix_consents_expires_at": "purges of abandoned authorization attempts cover all organizations",
    "ix_consents_session_id": "authorization attempts are deleted with their session",
    "ix_consents_ticket_hash": "a look-up by the hash of a secret finds the organization",
    "ix_consents_state_hash": "a look-up by the hash of a secret finds the organization",
    "ix_credentials_oauth_client_id": "clients of the instance belong to no organization",
    "ix_consents_oauth_client_id": "clients of the instance belong to no organization",
    "ix_revocations_give_up_at": "the worker deletes expired revocations of all organizations",
    "ix_revocations_kept_with": "a connection belongs to one organization",
    "ix_revocations_oauth_client_id": "clients of the instance belong to no organization",
    "ix_custom_integrations_logo_hash": "the address of a logo has a digest that only its organization receives",
    "ix_api_keys_secret_hash": "a look-up by the hash of a secret finds the organization",
    "ix_end_user_tokens_secret_hash": "a look-up by the hash of a secret finds the organization",
    "ix_end_user_tokens_expires_at": "purges of expired tokens cover all organizations",
    "ix_end_user_tokens_refresh_family_hash": "a look-up by the hash of a secret finds the organization",
    "ix_agent_authorizations_code_hash": "a look-up by the hash of a secret finds the organization",
    "ix_agent_authorizations_expires_at": "purges of expired authorizations cover all organizations",
    "ix_connect_requests_expires_at": "purges of expired requests cover all organizations",
    "ix_agent_runs_due_at": "purges of expired programs cover all organizations",
    "ix_approval_requests_expires_at": "purges of expired requests cover all organizations",
    "ix_approval_requests_key_id_id": "key rotation covers all organizations",
    "ix_approval_requests_page_hash": "a look-up by the hash of a secret finds the organization",
    "ix_agent_runs_key_id_id": "key rotation covers all organizations",
    "ix_end_users_lower_email": "the operator searches all organizations",
    "ix_end_users_lower_end_user_id": "the operator searches all organizations",
    "ix_connections_lower_account_label": "the operator searches all organizations",
    "ix_connections_lower_account_id": "the operator searches all organizations",
    "ix_hosted_connection_sessions_token_hash": "a look-up by the hash of a secret finds the organization",
    "ix_webhook_secrets_endpoint_id": "the sender reads the secrets of endpoints of all organizations",
    "ix_webhook_secrets_key_id_id": "key rotation covers all organizations",
    "ix_webhook_deliveries_due": "the sender sends the deliveries of all organizations",
    "ix_webhook_deliveries_pending": "an endpoint belongs to one organization",
    "ix_webhook_attempts_delivery": "a delivery belongs to one organization",
}
"""Indexes that do not lead with organization_id, with the reason."""

_THROUGH_OTHERS: Final = {
    "credentials",
    "unredeemed_connections",
    "consents",
    "oauth_clients",
    "totp_secrets",
    "webhook_subscriptions",
    "webhook_secrets",
    "webhook_deliveries",
    "webhook_attempts",
}
"""Tables whose rows are deleted with another row of the organization, and clients, which may belong to the instance."""


def test_all_tables_are_defined_in_the_schema() -> None:
    modules = {path for path in python_files("src") if any(is_table(node) for node in nodes(path))}
    assert {path for path in modules if path.parent != MIGRATIONS} == {SCHEMA}


def is_table(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and "Table" in {getattr(node.func, "id", None), getattr(node.func, "attr", None)}


def test_every_index_leads_with_the_organization_or_documents_why_not() -> None:
    indexes = [index for table in metadata.tables.values() for index in table.indexes]
    others = {str(index.name) for index in indexes if next(iter(index.columns)).name != "organization_id"}
    assert others == CROSS_TENANT.keys()


def test_rows_of_an_organization_reference_it_by_a_foreign_key() -> None:
    for table in metadata.tables.values():
        if "organization_id" in table.c and table.name not in _THROUGH_OTHERS:
            targets = {key.column.table.name for key in table.foreign_keys}
            assert targets & {"organizations", "end_users"}, table.name
            kept_by_key = {key for key in table.foreign_keys if key.column.table.name == "key_ring"}
            assert all(key.ondelete == "CASCADE" for key in table.foreign_keys - kept_by_key), table.name
