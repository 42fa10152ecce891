"""Checks the limits that a broker names at CONNACK against what ingest promises."""

from collections.abc import Iterator

from paho.mqtt.properties import Properties

from shared.config import Mqtt

# The largest message of the contract (128 KiB), its topic and its header.
_LEAST_PACKET_BYTES = 132 * 1024


def doubts(settings: Mqtt, connack: Properties) -> list[str]:
    """Why a broker with these CONNACK properties (MQTT 5, section 3.2.2.3) would break the promises; empty: it keeps
    them."""
    return list(_doubts(settings, connack))


def _doubts(settings: Mqtt, connack: Properties) -> Iterator[str]:
    expiry = getattr(connack, "SessionExpiryInterval", settings.session_expiry)
    if expiry < settings.session_expiry:
        yield (
            f"the broker ends a session after {expiry} s, not MQTT_SESSION_EXPIRY={settings.session_expiry}: "
            "raise its limit; after a longer absence of ingest, the messages that it missed are lost"
        )
    if getattr(connack, "MaximumQoS", 2) < 1:
        yield "the broker delivers at QoS 0 only: messages that ingest cannot take at once are lost"
    if not getattr(connack, "WildcardSubscriptionAvailable", 1):
        yield "the broker takes no filters with + or #: allow them"
    if settings.shared_group and not getattr(connack, "SharedSubscriptionAvailable", 1):
        yield "the broker has no shared subscriptions: allow them, or set MQTT_SHARED_GROUP to nothing"
    packet = getattr(connack, "MaximumPacketSize", _LEAST_PACKET_BYTES)
    if packet < _LEAST_PACKET_BYTES:
        yield (
            f"the broker refuses packets over {packet:,} bytes: raise its limit, VENs may send {_LEAST_PACKET_BYTES:,}"
        )
