CREATE TABLE groups (
    id         BIGSERIAL PRIMARY KEY,
    name       TEXT   NOT NULL,
    -- uid of a member
    owner      TEXT   COLLATE "C" NOT NULL,
    -- how many members there are; whoever changes it holds the row, which makes it the group's lock
    members    BIGINT NOT NULL,
    -- the last place that was given to a member
    last_place BIGINT NOT NULL,
    -- milliseconds since 1970
    created_at BIGINT NOT NULL
);

CREATE TABLE memberships (
    -- order in which a user joined groups
    id        BIGSERIAL NOT NULL,
    group_id  BIGINT NOT NULL,
    uid       TEXT   COLLATE "C" NOT NULL,
    -- order in which a group's members joined
    place     BIGINT NOT NULL,
    -- milliseconds since 1970
    joined_at BIGINT NOT NULL,
    PRIMARY KEY (group_id, uid)
);

CREATE UNIQUE INDEX memberships_in_order ON memberships (group_id, place) INCLUDE (uid);
CREATE UNIQUE INDEX memberships_of_user ON memberships (uid, id) INCLUDE (group_id);

-- members by 512 places, so that page n of a list is found without counting the members before it
CREATE TABLE membership_blocks (
    group_id BIGINT NOT NULL,
    block    BIGINT NOT NULL,
    members  BIGINT NOT NULL,
    PRIMARY KEY (group_id, block)
);

-- groups that are gone and whose memberships are still to be deleted
CREATE TABLE dismissed_groups (
    id BIGINT PRIMARY KEY
);

-- operations of re-keying that were done
CREATE TABLE rekeyings (
    operation_id TEXT PRIMARY KEY,
    -- milliseconds since 1970
    done_at      BIGINT NOT NULL
);
