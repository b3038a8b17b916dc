"""A real browser can decode our compressed responses."""

from typing import Any, Final

import pytest
from playwright.async_api import Page

from tests.running_demo import Demo

_ASK: Final = """async ({path, key}) => {
  const answer = await fetch(path, {headers: key ? {authorization: `Bearer ${key}`} : {}, cache: "no-store"});
  return {coding: answer.headers.get("content-encoding"), body: await answer.json()};
}"""


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_chromium_reads_lists_in_both_codings(page: Page, demo: Demo, coding: str) -> None:
    await page.set_extra_http_headers({"accept-encoding": coding})
    await page.goto(f"{demo.url}/docs/errors")  # a page with the same origin

    async def ask(path: str, key: str = "") -> Any:
        answer = await page.evaluate(_ASK, {"path": path, "key": key})
        assert answer["coding"] == coding, path
        return answer["body"]

    for end_user_id in ("user_123", "Ünïcode 用户 😀", 'q"uo\\te', "x" * 255):
        for options in ("", "&logo=url", "&logo=none"):
            body = await ask(f"/v1/integrations?end_user_id={end_user_id}{options}", demo.api_key)
            assert body["end_user_id"] == end_user_id
            assert len(body["integrations"]) >= 13
    catalog = await ask("/v1/catalog/integrations")
    assert len(catalog["integrations"]) >= 13


async def test_chromium_requests_and_receives_zstd(page: Page, demo: Demo) -> None:
    await page.goto(f"{demo.url}/docs/errors")
    answer = await page.evaluate(_ASK, {"path": "/v1/integrations?end_user_id=user_123", "key": demo.api_key})
    assert answer["coding"] == "zstd"
    assert answer["body"]["end_user_id"] == "user_123"
