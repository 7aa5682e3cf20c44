"""From a request to bytes on a connection and back: signing, pools, attempts, endpoints."""
