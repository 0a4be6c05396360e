"""The engine: owns the journal, drives runs, decides on effects.  It never parses or evaluates flow text."""
