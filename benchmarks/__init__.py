"""Measurements of what people wait for; `python -m benchmarks`. They report and never judge: no test reads them."""
