"""Flowmetal: small sandboxed programs whose every action is journaled, so that a killed run is finished."""

__version__ = "0.1.0"
