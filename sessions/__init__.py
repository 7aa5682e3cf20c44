"""Sessions: the supervisor, the transport below it and the facades above it.

From the bottom up: ``endpoints`` (where to send), ``prepare`` (what to send: URL, headers, signature), ``pool`` and
``adapter`` (how to send: requests over cooperative connections), ``failures`` (what went wrong, in our terms),
``retry`` (whether to try again), ``transport`` (all of that for one attempt after the other), ``supervisor`` and
``runtime`` (the actors and their life), ``core`` (what a session's views share), ``batch`` (``session.map``),
``facade`` (``Session`` and ``AsyncSession``).
"""
