"""The message's way in:

subscriber: one session at the broker, reconnected with backoff; acknowledges
sessions: what it is subscribed to, remembered; `broker_words`: why it cannot be had
paho_bridge: the bytes of the socket → packets, below aiomqtt's public face
topics: a topic → the kind of message and the VEN
payloads: what VENs send, as structs
decode: topic and payload → a reading, snapshot or status, or a reason why not (`refusal`)
json_text, fields, dialects: the careful way, for what is not quite the contract; `timestamps`: any of its times
"""
