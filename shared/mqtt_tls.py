"""The TLS side of a connection to the broker."""

import socket
import ssl
from typing import Any

from shared.certificates import as_file
from shared.config import Mqtt


def tls_context(settings: Mqtt) -> ssl.SSLContext | None:
    """What paho wraps its socket with; None without MQTT_USE_TLS. The settings are checked where they are read."""
    if not settings.use_tls:
        return None
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = settings.tls_server_name
    if settings.ca_cert:
        context.load_verify_locations(cafile=as_file(settings.ca_cert))
    else:
        context.load_default_certs()
    if settings.client_cert:
        key = as_file(settings.client_key) if settings.client_key else None
        context.load_cert_chain(as_file(settings.client_cert), key)
    return context


class _Context(ssl.SSLContext):
    """paho asks for a certificate with the name of the host that it connects to; `server_name` replaces that."""

    server_name: str | None = None

    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        if self.server_name:
            options["server_hostname"] = self.server_name
        return super().wrap_socket(sock, *args, **options)
