"""HTTP as a flow may speak it: addresses as text, one guarded client, bodies within limits.

Nothing here decides what is allowed: whoever sends a request hands in a function that is asked of every address.

``client`` imports aiohttp, which takes longer than everything else that a run needs: it is reached through ``late``
only, when a request is to be sent.
"""
