DROP TABLE outbox_lanes;
DROP TABLE outbox;
