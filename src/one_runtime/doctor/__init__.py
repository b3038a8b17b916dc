"""`one-runtime doctor`: checks of an installation from outside the server, with recommendations.

The checks only read. They write, migrate and change nothing. No finding contains a secret.
"""

from one_runtime.doctor.examination import examine
from one_runtime.doctor.finding import CHECKS, Finding

__all__ = ["CHECKS", "Finding", "examine"]
