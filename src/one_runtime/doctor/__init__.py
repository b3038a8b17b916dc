"""`one-runtime doctor`: checks of an installation from outside the server, with recommendations.

The checks only read data: no check writes, migrates or changes anything. No finding contains a secret.
"""

from one_runtime.doctor.examination import examine
from one_runtime.doctor.finding import CHECKS, Finding

__all__ = ["CHECKS", "Finding", "examine"]
