"""The check of a URL without name resolution."""

from one_runtime.egress.target import _find_refusal, find_refusal


def test_long_url_is_checked_but_not_cached() -> None:
    """Organizations write the URLs of entries. So 4,096 long URLs would fill the memory of the server."""
    host = f"{'h' * 60}.localhost"
    assert find_refusal(f"https://{host}/", frozenset()) is not None
    cached = _find_refusal.cache_info()
    assert find_refusal(f"https://{host}/{'p' * 300}", frozenset()) is not None
    assert _find_refusal.cache_info() == cached
