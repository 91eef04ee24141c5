"""Put on PYTHONPATH by a test: every Python process below it writes each address beyond the loopback that it tries.

Native programs are not seen here; the test looks at their sockets from outside.
"""

import ipaddress
import os
import sys
from pathlib import Path

SEEN = Path(os.environ["SLIPWAY_NETWATCH"])
LOCAL_NAMES = {"localhost", "", None}


def beyond_loopback(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode()
    if host in LOCAL_NAMES or not isinstance(host, str):
        return False
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return True  # a name: looking it up would leave the machine
    return not (address.is_loopback or address.is_unspecified)


def watch(event: str, arguments: tuple) -> None:
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        host = arguments[0]
    else:
        return
    if beyond_loopback(host):
        with SEEN.open("a", encoding="utf-8") as file:
            file.write(f"{event} {host!r} by {' '.join(sys.orig_argv)[:200]}\n")


sys.addaudithook(watch)
