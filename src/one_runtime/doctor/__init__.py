"""Checks of an installation from outside its server, with recommendations (`one-runtime doctor`).

The checks only read: they write, migrate and change nothing. No finding contains a secret.
"""

from one_runtime.doctor.examination import examine
from one_runtime.doctor.finding import CHECKS, Finding

__all__ = ["CHECKS", "Finding", "examine"]
