"""Entry point of the worker process: ``python -m flowmetal.worker DESCRIPTOR LIMITS``.

``DESCRIPTOR`` is the number of the inherited socket, ``LIMITS`` a JSON object of ``flowmetal.settings.Limits``.
"""

from __future__ import annotations

import json
import sys

from flowmetal.settings import Limits
from flowmetal.worker.serving import serve

serve(int(sys.argv[1]), Limits.from_data(json.loads(sys.argv[2])))
