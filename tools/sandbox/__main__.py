"""``python -m ai.backend.client.sandbox``: a sandbox in the foreground, until it is interrupted."""

import gc
import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until it serves: no traceback of an import that was interrupted
    gc.disable()  # until it serves: what the start makes is no garbage, and looking for some took a tenth of it
    try:
        from ai.backend.client.sandbox.command import main
    except ModuleNotFoundError as error:
        sys.exit(f"[sandbox] ERROR: there is no {error.name}: install the client with its extra `sandbox`")
    sys.exit(main())
