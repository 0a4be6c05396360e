"""Packages as they are written, packed and published: records, and the one form of each on disk.

Nothing here evaluates flow text, and all that is read is hostile until it is checked.
"""
