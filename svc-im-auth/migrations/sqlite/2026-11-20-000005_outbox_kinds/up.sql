-- Lanes are claimed kind by kind, so that no kind's backlog stands before another's.
CREATE INDEX outbox_lanes_next ON outbox_lanes (kind, due_at, lane);
DROP INDEX outbox_lanes_due;
