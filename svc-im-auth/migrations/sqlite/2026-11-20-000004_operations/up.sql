-- Changes that other services asked for and that are done: one that a frozen process was asked for first, and another
-- process did meanwhile, is not done a second time when the first wakes, over what was changed since.
CREATE TABLE operations (
    operation_id TEXT   NOT NULL PRIMARY KEY,
    -- milliseconds since 1970
    done_at      BIGINT NOT NULL
) WITHOUT ROWID;

CREATE INDEX operations_age ON operations (done_at);
