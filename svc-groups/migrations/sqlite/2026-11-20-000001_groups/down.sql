DROP TABLE rekeyings;
DROP TABLE dismissed_groups;
DROP TABLE membership_blocks;
DROP TABLE memberships;
DROP TABLE groups;
