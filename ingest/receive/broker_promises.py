"""What a broker says of itself at CONNACK, held against what ingest promises."""

from collections.abc import Iterator

from paho.mqtt.properties import Properties

from shared.config import Mqtt

# A message of the contract, its topic and its header.
_LEAST_PACKET_BYTES = 132 * 1024


def doubts(settings: Mqtt, connack: Properties) -> list[str]:
    """Why a broker with these CONNACK properties (MQTT 5, section 3.2.2.3) would not keep the promises; empty: none."""
    return list(_doubts(settings, connack))


def _doubts(settings: Mqtt, connack: Properties) -> Iterator[str]:
    expiry = getattr(connack, "SessionExpiryInterval", settings.session_expiry)
    if expiry < settings.session_expiry:
        yield (
            f"the broker ends a session after {expiry} s, not MQTT_SESSION_EXPIRY={settings.session_expiry}: "
            "raise its limit, or ingest may not be away for longer"
        )
    if getattr(connack, "MaximumQoS", 2) < 1:
        yield "the broker delivers at QoS 0 alone: what ingest cannot take at once is lost"
    if not getattr(connack, "WildcardSubscriptionAvailable", 1):
        yield "the broker takes no filters with + or #: allow them"
    if settings.shared_group and not getattr(connack, "SharedSubscriptionAvailable", 1):
        yield "the broker has no shared subscriptions: allow them, or set MQTT_SHARED_GROUP to nothing"
    packet = getattr(connack, "MaximumPacketSize", _LEAST_PACKET_BYTES)
    if packet < _LEAST_PACKET_BYTES:
        yield f"the broker refuses packets over {packet:,} bytes: VENs may send {_LEAST_PACKET_BYTES:,}"
