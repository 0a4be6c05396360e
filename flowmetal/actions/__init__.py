"""Effects: what a flow can do to the world, each in a file of its own, joined by one registry.

An effect says what it is about to do (``want``), as data; the engine's gate decides; ``perform`` takes the decision and
does it.  To add one: write a module with an ``Effect`` beside the others and name it in ``registry.py``.
"""

from flowmetal.actions.effect import Effect, EffectContext, EffectFailure, Parameter
from flowmetal.actions.registry import STANDARD, Registry

__all__ = ["STANDARD", "Effect", "EffectContext", "EffectFailure", "Parameter", "Registry"]
