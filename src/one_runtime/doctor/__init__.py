"""Checks of an installation. The command `one-runtime doctor` runs the checks outside the server.

The checks only read data: no check changes data or migrates the database. No finding contains a secret.
"""

from one_runtime.doctor.examination import examine
from one_runtime.doctor.finding import CHECKS, Finding

__all__ = ["CHECKS", "Finding", "examine"]
