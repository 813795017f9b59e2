-- What other systems must still be told (service_kit::outbox); the same in every service that has an outbox.
CREATE TABLE outbox (
    id      BIGSERIAL PRIMARY KEY,
    kind    TEXT    NOT NULL,
    lane    TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    detail  TEXT    NOT NULL,
    version BIGINT  NOT NULL,
    -- milliseconds since 1970
    since   BIGINT  NOT NULL,
    dead    BOOLEAN NOT NULL,
    reason  TEXT    NOT NULL,
    UNIQUE (kind, lane, key)
);

CREATE INDEX outbox_in_order ON outbox (kind, lane, dead, id);
CREATE INDEX outbox_age ON outbox (dead, since);

CREATE TABLE outbox_lanes (
    kind     TEXT    NOT NULL,
    lane     TEXT    NOT NULL,
    -- milliseconds since 1970
    due_at   BIGINT  NOT NULL,
    claim    TEXT    NOT NULL,
    failures INTEGER NOT NULL,
    reason   TEXT    NOT NULL,
    PRIMARY KEY (kind, lane)
);

CREATE INDEX outbox_lanes_next ON outbox_lanes (kind, due_at, lane);
