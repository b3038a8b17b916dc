"""`python -m one_runtime`."""

from one_runtime.cli import main

main()
