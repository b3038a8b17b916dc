"""The people of an organization: members, invitations, sessions of the dashboard, and ways to sign in."""
