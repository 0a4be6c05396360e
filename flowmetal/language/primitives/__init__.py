"""What the pure helpers of the prelude cannot do well in Starlark itself.

Each function takes and gives plain data only (None, bool, int, float, str, list, dict with str keys), has no
effect, and gives the same answer on every platform and Python version, error texts included: those can end up
in a journal, where replay compares them.  The prelude reaches them as ``_host_NAME``; `PRIMITIVES` is the table.
"""

from flowmetal.language.primitives.shared import PrimitiveError
from flowmetal.language.primitives.table import PRIMITIVES
from flowmetal.language.primitives.times import duration_microseconds

__all__ = ["PRIMITIVES", "PrimitiveError", "duration_microseconds"]
