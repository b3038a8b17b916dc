"""Measurements of response times: `python -m benchmarks`. No test depends on the results."""
