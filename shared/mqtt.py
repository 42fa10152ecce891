"""Connections to the broker with the settings' login."""

import socket
import ssl
from typing import Any

from aiomqtt import ProtocolVersion

from shared.certificates import as_file
from shared.config import Mqtt


def client_arguments(settings: Mqtt, tls: ssl.SSLContext | None) -> dict[str, Any]:
    """The arguments with which aiomqtt.Client reaches the broker of `settings`; `tls`: from tls_context."""
    return {
        "hostname": settings.host,
        "port": settings.broker_port,
        "username": settings.username,
        "password": settings.password,
        "protocol": ProtocolVersion.V5,
        "keepalive": settings.keepalive,
        "tls_context": tls,
    }


def tls_context(settings: Mqtt) -> ssl.SSLContext | None:
    """The context of a connection to the broker; None without MQTT_USE_TLS. config.read has checked the settings."""
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
    """paho requires a certificate with the name of the host that it connects to; `server_name` replaces that name."""

    server_name: str | None = None

    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        if self.server_name:
            options["server_hostname"] = self.server_name
        return super().wrap_socket(sock, *args, **options)
