"""One MQTT connection, made from the settings."""

import ssl

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from shared.config import Mqtt
from shared.mqtt import client_arguments

# A message over the contract's 128 KiB becomes a dead letter. The broker discards packets over this size (MQTT 5,
# section 3.1.2.11.4), so that one message cannot fill the memory.
_MAX_PACKET_BYTES = 8 * 1024 * 1024
# MQTT 5, section 2.4: reason codes from here on mean failure.
_FAILURE = 0x80


def connection(settings: Mqtt, tls: ssl.SSLContext | None) -> aiomqtt.Client:
    """A client that resumes the session of MQTT_CLIENT_ID, or begins it."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = settings.session_expiry
    properties.ReceiveMaximum = settings.receive_maximum
    properties.MaximumPacketSize = _MAX_PACKET_BYTES
    return aiomqtt.Client(
        **client_arguments(settings, tls),
        identifier=settings.client_id,
        # aiomqtt's default wipes the session at the first connect of every process.
        clean_start=False,
        properties=properties,
    )


def end_session(client: aiomqtt.Client) -> None:
    """Disconnect and let the broker forget the session. aiomqtt's own disconnect takes no properties."""
    properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 0
    client._client.disconnect(properties=properties)  # noqa: SLF001


def is_refused(reason: object) -> bool:
    """Whether the reason code of a SUBACK or PUBACK says that the broker refuses."""
    code = reason.value if isinstance(reason, ReasonCode) else int(str(reason))
    return code >= _FAILURE
