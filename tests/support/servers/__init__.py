"""Servers that tests start: real sockets on loopback."""
