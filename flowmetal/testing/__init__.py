"""The garden: what tests need to try the engine hard.  Nothing that runs flows for a person imports it."""
