-- What must not change during a database's life.
CREATE TABLE constants (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- One row for everybody who has a list. Users are written appId#account; byte order is the order of locking.
CREATE TABLE owners (
    owner          TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    -- the last stamp of either list, milliseconds since 1970; 0: never changed
    friends_clock  BIGINT  NOT NULL,
    requests_clock BIGINT  NOT NULL,
    -- rows of friends that are active, of requests that are not done
    friends        BIGINT  NOT NULL,
    pending        BIGINT  NOT NULL,
    -- whether others need the owner's agreement; null: never said
    verify         BOOLEAN
) WITH (fillfactor = 80);

CREATE TABLE friends (
    owner  TEXT   COLLATE "C" NOT NULL,
    friend TEXT   COLLATE "C" NOT NULL,
    stamp  BIGINT  NOT NULL,
    -- false: a tombstone, so that incremental reads learn of the end
    active BOOLEAN NOT NULL,
    remark TEXT    NOT NULL,
    source TEXT    NOT NULL,
    PRIMARY KEY (owner, friend)
);

CREATE UNIQUE INDEX friends_by_stamp ON friends (owner, stamp);
CREATE INDEX friends_active_by_stamp ON friends (owner, stamp) WHERE active;

CREATE TABLE requests (
    owner   TEXT   COLLATE "C" NOT NULL,
    other   TEXT   COLLATE "C" NOT NULL,
    -- false: the owner asked; true: the owner was asked
    invited BOOLEAN NOT NULL,
    stamp   BIGINT  NOT NULL,
    message TEXT    NOT NULL,
    source  TEXT    NOT NULL,
    -- the two have become friends since
    done    BOOLEAN NOT NULL,
    PRIMARY KEY (owner, other, invited)
);

CREATE UNIQUE INDEX requests_by_stamp ON requests (owner, stamp);
