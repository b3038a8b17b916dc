"""Roles and their permissions."""

import itertools

from one_runtime.tenancy.roles import PERMISSIONS, ROLES, permits


def test_each_role_has_the_permissions_of_the_roles_before_it_and_more() -> None:
    granted = [{permission for permission in PERMISSIONS if permits(role, permission)} for role in ROLES]
    assert [len(permissions) for permissions in granted] == [2, 5, 6, 7]
    assert all(lower < higher for lower, higher in itertools.pairwise(granted))
    assert granted[0] == {"read", "connect"}
    assert granted[-1] == set(PERMISSIONS)
