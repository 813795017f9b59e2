CREATE INDEX outbox_lanes_due ON outbox_lanes (due_at);
DROP INDEX outbox_lanes_next;
