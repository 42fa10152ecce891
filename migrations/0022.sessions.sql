-- What each MQTT session is subscribed to, so that a filter that leaves the settings is unsubscribed.
-- depends: 0021.flaws

CREATE TABLE mqtt_sessions (
    client_id text COLLATE "C" PRIMARY KEY,
    filters text[] NOT NULL
);
