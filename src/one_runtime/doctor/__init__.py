"""Check an installation of One Runtime. The command `one-runtime doctor` runs the checks outside the server.

The checks only read data. No check changes data or migrates the database. The findings (the results of the checks)
contain no secrets.
"""

from one_runtime.doctor.examination import examine
from one_runtime.doctor.finding import CHECKS, Finding

__all__ = ["CHECKS", "Finding", "examine"]
