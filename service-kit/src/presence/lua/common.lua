-- Begins every script: the time in ms, and whether the end of a lease makes it alive. Ends further away than any
-- renewal sets them come from before the clock was set back. LEASE and PROCESS (digits) are set before.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function alive(ends) return ends and tonumber(ends) > now and tonumber(ends) <= now + LEASE + 100 end
local function process(lease) return string.sub(lease, 1, PROCESS) end
local function run_id() return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') end
