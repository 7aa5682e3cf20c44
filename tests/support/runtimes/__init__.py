"""How the callers of a test run: threads, asyncio, gevent, and processes of their own."""
