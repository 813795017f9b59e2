DROP TABLE newest_keys;
