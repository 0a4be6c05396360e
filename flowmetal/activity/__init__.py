"""For Python functions that flows call by ``call("module:function")``: who calls, how far it is, and whether to stop.

    from flowmetal import activity

    def load(path: str) -> int:
        for number, part in enumerate(parts(path)):
            activity.check_cancelled()
            activity.progress(f"part {number}")
            send(part, key=activity.current().idempotency_key)
        return number

Outside of a call, as in a test, ``progress`` does nothing, ``cancelled`` is False and ``current`` raises LookupError.
"""

from flowmetal.activity.state import Cancelled, Current, Failure, cancelled, check_cancelled, current, progress

__all__ = ["Cancelled", "Current", "Failure", "cancelled", "check_cancelled", "current", "progress"]
