"""What every part of the sandbox leans on: tables, state, requests, problems."""
