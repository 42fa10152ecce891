"""Errors of a broker connection in words for /health and the log, which say what to check."""

import aiomqtt

NO_ANSWER = "the broker closed the connection before answering: does it speak MQTT 5? is this its TLS port?"
NOT_MQTT = (
    "what answers is not MQTT: is this the broker's TLS port (MQTT_USE_TLS), or the port of something else?"
)

# A part of an error's text → what it means. The first part that is found counts.
_MEANINGS = (
    (
        "CERTIFICATE_VERIFY_FAILED",
        "the broker's certificate is not trusted: see MQTT_CA_CERT and the name in MQTT_HOST",
    ),
    (
        "certificate required",
        "the broker wants a client certificate: set MQTT_CLIENT_CERT and MQTT_CLIENT_KEY",
    ),
    ("[SSL", "the broker does not speak TLS on this port, or not ours: see MQTT_PORT and MQTT_USE_TLS"),
    (
        "handshake operation timed out",
        "the server on this port does not speak TLS: see MQTT_PORT and MQTT_USE_TLS",
    ),
    (
        "EOF occurred in violation",
        "the broker does not speak TLS on this port: see MQTT_PORT and MQTT_USE_TLS",
    ),
    (
        "Unsupported protocol version",
        "the broker refuses MQTT 5: it is too old, or speaks 3.1.1 alone on this port",
    ),
    (
        "Bad user name or password",
        "the broker refuses the login: not authorised by MQTT_USERNAME and MQTT_PASSWORD",
    ),
    ("Not authorized", "the broker refuses the login: not authorised by MQTT_USERNAME and MQTT_PASSWORD"),
    ("Client identifier not valid", "the broker refuses the client id: see MQTT_CLIENT_ID"),
    ("Connection refused", "nothing listens there: see MQTT_HOST and MQTT_PORT"),
    ("Operation timed out", "the broker takes connections, and does not answer"),
)


def explain(error: BaseException) -> str:
    """Why a connection failed or ended."""
    text = str(error) or type(error).__name__
    if isinstance(error, aiomqtt.MqttError | OSError):
        for sign, meaning in _MEANINGS:
            if sign in text:
                return meaning
    return text
