"""Numbers, durations and shares are short, and do not look like other numbers after rounding."""

from one_runtime.dashboard.quantities import compact, duration, number, share


def test_numbers_are_short() -> None:
    numbers = (0, 7, 999, 999.6, 1234, 99_949, 99_950, 999_499, 999_500, 10**15, 1 << 62)
    assert number(1_234_567) == "1,234,567"
    expected = "0 7 999 1k 1.2k 99.9k 100k 999k 1M 1P 4.6E"
    assert " ".join(compact(number) for number in numbers) == expected
    times = (0, 0.2, 0.6, 999.4, 999.6, 1500, 99_949, 99_960, 3_600_000)
    assert [duration(time) for time in times] == [
        "0 ms", "< 1 ms", "1 ms", "999 ms", "1 s", "1.5 s", "99.9 s", "100 s", "3,600 s",
    ]  # fmt: skip
    shares = ((0, 0), (0, 5), (5, 5), (1, 10_000), (9_999, 10_000), (1, 200), (1, 3), (1, 10), (995, 1000))
    assert [share(*pair) for pair in shares] == [
        "0 %", "0 %", "100 %", "< 0.1 %", "> 99.9 %", "0.5 %", "33 %", "10 %", "99.5 %",
    ]  # fmt: skip
