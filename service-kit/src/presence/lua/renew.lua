-- KEYS: nodes, epoch, pulse, fence. ARGV: what to do (join, enter, renew, serve), lease, its run id, generation.
-- Answers the run id and whether the lease is unbroken.
local nodes, epoch, pulse = KEYS[1], KEYS[2], KEYS[3]
local task, lease, old_run = ARGV[1], ARGV[2], ARGV[3]
local run = run_id()
-- Nobody having renewed for so long means that Redis was away rather than the nodes: everybody's lease may
-- have run out meanwhile, so everybody gets time to report. The same if the clock was set back.
local known = redis.call('GET', epoch)
local last = tonumber(redis.call('GET', pulse) or 0)
if not known or string.sub(known, 1, #run) ~= run or now - last > 2000 or last > now + 1000 then
    redis.call('SET', epoch, run .. ':' .. string.format('%.0f', now))
end
redis.call('SET', pulse, now)
local generation = math.max(tonumber(ARGV[4]), tonumber(redis.call('GET', KEYS[4]) or 0))
redis.call('SET', KEYS[4], generation, 'PX', 60000)
redis.call('ZREMRANGEBYSCORE', nodes, '-inf', now - 60000)
if task == 'join' then
    redis.call('ZADD', nodes, now + LEASE, '~' .. lease)
    return {run, 1}
end
local serving = redis.call('ZSCORE', nodes, lease)
local member = serving and lease or '~' .. lease
if task ~= 'enter' and (run ~= old_run or not alive(redis.call('ZSCORE', nodes, member))) then return {run, 0} end
if task == 'serve' or task == 'enter' then
    for _, m in ipairs(redis.call('ZRANGE', nodes, 0, -1)) do
        if process((string.gsub(m, '~', '', 1))) == process(lease) then redis.call('ZREM', nodes, m) end
    end
    member = lease
end
redis.call('ZADD', nodes, now + LEASE, member)
return {run, 1}
