-- The newest incident of each alert. Alertmanager renames groups when its routes are edited; an alert stays the same.
CREATE TABLE alert_owners (
    source      TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    receiver    TEXT    NOT NULL,
    incident    INTEGER NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    PRIMARY KEY (source, fingerprint, receiver)
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_owners_incident ON alert_owners (incident);
INSERT OR REPLACE INTO alert_owners (source, fingerprint, receiver, incident)
SELECT incidents.source, alerts.key, incidents.receiver, incidents.id
FROM incidents, json_each(iif(json_valid(incidents.document), incidents.document, '{}'), '$.alerts') AS alerts
ORDER BY incidents.id;
-- Open incidents whose escalation the configuration lost are counted every few seconds.
CREATE INDEX incidents_escalation_lost ON incidents (id) WHERE phase < 2 AND iif(json_valid(document), json_extract(document, '$.escalation.lost'), 0) = 1;
