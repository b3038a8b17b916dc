"""`one-runtime doctor` behind a real PgBouncer in transaction mode."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.db.pgbouncer import pgbouncer, set_timeout
from tests.doctor.conftest import World, patient_on

pytestmark = [pytest.mark.slow, pytest.mark.only_database("postgresql")]


@pytest.mark.parametrize(
    "settings, direct, verdict, words",
    [
        ({}, True, "ok", "supports prepared statements"),
        ({}, False, "warning", "there is no direct URL"),
        ({"max_prepared_statements": "0"}, True, "warning", "does not support prepared statements"),
    ],
)
async def test_doctor_examines_a_pooler(
    database_url: str, world: World, tmp_path: Path, settings: Mapping[str, str], direct: bool, verdict: str, words: str
) -> None:
    set_timeout(database_url, "30s")
    with pgbouncer(tmp_path, database_url, **settings) as pooled:
        patient = patient_on(pooled, world)
        if direct:
            patient.environ["ONE_RUNTIME_DATABASE_DIRECT_URL"] = database_url
        finding = (await patient.examined())["pooler"]
    assert (finding.verdict, words in finding.saw) == (verdict, True), finding


async def test_doctor_reports_a_pooler_without_a_statement_timeout(
    database_url: str, world: World, tmp_path: Path
) -> None:
    set_timeout(database_url, "0")  # an earlier test of this database can have set a timeout
    with pgbouncer(tmp_path, database_url) as pooled:
        patient = patient_on(pooled, world)
        patient.environ["ONE_RUNTIME_DATABASE_DIRECT_URL"] = database_url
        findings = await patient.examined()
    finding = findings["database"]
    assert (finding.verdict, "ALTER ROLE" in finding.saw) == ("problem", True), finding
    assert "timeout" not in findings["pooler"].saw, "no finding contradicts the problem"
