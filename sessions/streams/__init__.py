"""The running side of streams: one greenlet of the hub for each."""
