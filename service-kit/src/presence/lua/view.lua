-- KEYS: nodes, epoch, pulse. Answers run id, time, epoch, pulse, and the leases with their ends.
return {
    run_id(),
    now,
    redis.call('GET', KEYS[2]) or '',
    tonumber(redis.call('GET', KEYS[3]) or 0),
    redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES'),
}
