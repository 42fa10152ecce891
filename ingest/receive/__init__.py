"""The message's way in: connect, read, recognise the topic, decode."""
