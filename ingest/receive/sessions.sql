-- The filters that MQTT sessions are subscribed to.

-- name: read_filters
-- $1: client id -> the filters that its session may be subscribed to
SELECT filters FROM mqtt_sessions WHERE client_id = $1

-- name: write_filters
-- $1: client id; $2 text[]: the filters that its session may be subscribed to
INSERT INTO mqtt_sessions (client_id, filters) VALUES ($1, $2)
ON CONFLICT (client_id) DO UPDATE SET filters = excluded.filters

-- name: forget_session
-- $1: client id, of a session that has ended
DELETE FROM mqtt_sessions WHERE client_id = $1
