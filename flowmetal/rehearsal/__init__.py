"""Runs that only pretend: scripted effects, simulated time, and what came of it."""
