"""
Run uvicorn on a socket that listens already: ``run_uvicorn FD MODULE:APP``.

Its own ``--fd`` takes any socket for a unix one, and so knows no addresses.
"""

from __future__ import annotations

import socket
import sys

import uvicorn


if __name__ == "__main__":
    config = uvicorn.Config(
        sys.argv[2], log_level="warning", proxy_headers=False, timeout_graceful_shutdown=10
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
