"""The page on adding an integration shows an entry that works and leaves out no key."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from one_runtime.catalog import model, parts
from one_runtime.catalog.loader import load_yaml
from one_runtime.catalog.request import build_check, clean_values

PAGE = (Path(__file__).parents[2] / "docs" / "adding-an-integration.md").read_text(encoding="utf-8")
SHAPES: list[type[BaseModel]] = [
    model.Integration,
    model.ApiKeyAuth,
    parts.Param,
    parts.Field,
    parts.Derived,
    parts.Send,
    parts.Request,
    parts.Expect,
    parts.Refused,
    parts.Condition,
    parts.Identity,
    parts.Verified,
    parts.Option,
]
KEYS = sorted({info.alias or name for shape in SHAPES for name, info in shape.model_fields.items()})

pytestmark = pytest.mark.docs


@pytest.mark.parametrize("key", KEYS)
def test_every_key_of_an_entry_is_explained(key: str) -> None:
    assert f"`{key}`" in PAGE


def test_the_pages_example_is_a_working_entry(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    path = tmp_path / "example-desk.yaml"
    path.write_text(example.group(1), encoding="utf-8")
    auth = load_yaml(path).auth[0]
    values = clean_values(auth, {"subdomain": "Acme"}, {"api_key": "exd_" + "a" * 32})
    request = build_check(auth, values)
    assert request.url == "https://acme.example.com/us/v2/me?fields=id%2Cname"
    assert dict(request.headers) == {
        "Accept": "application/json",
        "Example-Version": "2026-10-01",
        "Authorization": "Bearer exd_" + "a" * 32,
    }
