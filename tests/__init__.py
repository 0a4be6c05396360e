"""Tests; helpers shared by several files are imported from here by their full name."""
