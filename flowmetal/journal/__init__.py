"""The journal: what every run did, written before anything depends on it.

Start reading at ``journal.py`` (what others may do), then ``store.py`` (the seam to the disk), ``events.py`` and
``headers.py`` (the bytes), ``writer.py`` (the engine's hot path).
"""
