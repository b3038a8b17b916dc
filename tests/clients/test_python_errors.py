"""The Python client's errors survive serializers, and tests of callers can create them."""

import copy
import json
import pickle
from typing import Final

import pytest

from one_runtime_client import (
    Conflict,
    ConnectionFailed,
    ConnectRequired,
    FieldError,
    InvalidInput,
    NotFound,
    OneRuntimeError,
)

FIELDS: Final = (FieldError("end_user_id", "end_user_id must not be empty."),)
ERROR: Final = InvalidInput(
    "end_user_id must not be empty.", status=422, request_id="request-1", errors=FIELDS, retry_after=1.5
)


@pytest.mark.parametrize(
    "again",
    [
        pickle.loads(pickle.dumps(ERROR)),
        copy.deepcopy(ERROR),
        copy.copy(ERROR),
        type(ERROR)(*json.loads(json.dumps(ERROR.args))),  # as Celery restores an error from JSON
    ],
    ids=["pickle", "deepcopy", "copy", "json"],
)
def test_serialized_error_has_all_its_values(again: OneRuntimeError) -> None:
    assert (type(again), vars(again), str(again)) == (InvalidInput, vars(ERROR), str(ERROR))
    assert again.errors == FIELDS
    assert again.args == ERROR.args


def test_error_of_a_fake_has_the_code_and_status_of_its_class() -> None:
    fakes = [
        ConnectRequired("Connect HubSpot."),
        NotFound(),
        Conflict(code="session_used"),
        ConnectionFailed("No route."),
    ]
    assert [(fake.code, fake.status) for fake in fakes] == [
        ("connect_required", 409),
        ("not_found", 404),
        ("session_used", 409),
        ("connection_failed", None),
    ]
    assert [str(fake) for fake in fakes[:2]] == ["Connect HubSpot. (connect_required)", "not_found"]
    assert repr(fakes[0]) == "ConnectRequired('Connect HubSpot.', code='connect_required', status=409)"
