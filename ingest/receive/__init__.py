"""From the broker to decoded messages:

subscriber: one session at the broker (`connection`), reconnected with backoff; acknowledges
sessions: which filters the session is subscribed to; `broker_words`, `broker_promises`, `drops`: what is wrong with it
paho_bridge: the bytes of the socket → packets, below aiomqtt's public interface
topics: a topic → the kind of message and the VEN
decode: topic and payload → a reading, snapshot or status, or a DecodeError (`refusal`)
payloads, plain: messages of the contract, as structs; the fast way
json_text, fields, dialects: messages that are not quite the contract, the careful way; `timestamps`: times of both
"""
