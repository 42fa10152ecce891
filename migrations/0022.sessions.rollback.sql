DROP TABLE mqtt_sessions;
