"""Where the service listens, and how it is reached from this machine."""

import socket

from backend.errors import ConflictError
from backend.settings import Settings

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def reachable(settings: Settings) -> str:
    """The host to connect to from this machine."""
    return EVERYWHERE.get(settings.host, settings.host)


def listen(settings: Settings) -> socket.socket:
    """The socket to serve on; one sentence where the port is taken or the address is not this machine's."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    option = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
    listening.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen(socket.SOMAXCONN)
    except OSError as error:
        listening.close()
        raise ConflictError(
            f"Port {settings.port} of {settings.host} cannot be used ({error.strerror or error}). Stop what uses it"
            " (qt stop), or set QT_PORT or QT_HOST.",
            reason="port_unusable",
        ) from error
    return listening


def address(settings: Settings) -> str:
    """Where a browser on this machine finds the page."""
    host = reachable(settings)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
