"""Examines an installation from outside its server, and recommends what to do (`one-runtime doctor`).

Every check is pure reading: nothing is written, migrated or changed, and no finding holds a secret.
"""

from one_runtime.doctor.examination import examine
from one_runtime.doctor.finding import CHECKS, Finding

__all__ = ["CHECKS", "Finding", "examine"]
