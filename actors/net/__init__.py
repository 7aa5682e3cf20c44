"""Sockets on a hub: plain, TLS, and those that listen."""
