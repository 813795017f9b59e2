-- KEYS: nodes, fence, then users. ARGV: generation, lease, expiry in s, then for each user the sockets of this
-- process, as `<platform digit><order>;`, order 0 for those that have none yet.
--
-- Replaces the process's part of each value, drops dead nodes, and answers for each user a list of
-- `N<platform><order>;` (order given) and `<what><platform><order>=<lease>;` for who holds the same platform
-- elsewhere: E earlier than a socket that got its order now, R earlier than one that had it, L later. Answers nothing
-- at all if the lease is broken or another connection is in charge.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return false end
local lease = ARGV[2]
local live = {}
local nodes = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #nodes, 2 do
    if alive(nodes[i + 1]) then live[(string.gsub(nodes[i], '~', '', 1))] = true end
end
if not live[lease] then return false end
local answers = {}
for i = 3, #KEYS do
    local value, answer, others, free = {}, {}, {}, now
    for entry, node, p, o in string.gmatch(redis.call('GET', KEYS[i]) or '', '((%x+)=(%d)(%d+);)') do
        o = tonumber(o)
        if o >= free then free = o + 1 end
        if process(node) ~= process(lease) and live[node] then
            value[#value + 1] = entry
            others[#others + 1] = {node, p, o}
        end
    end
    local spec = ARGV[i + 1]
    for o in string.gmatch(spec, '%d(%d+);') do
        if tonumber(o) >= free then free = tonumber(o) + 1 end
    end
    local mine = {}
    for p, o in string.gmatch(spec, '(%d)(%d+);') do
        o = tonumber(o)
        local new = o == 0
        if new then
            o = free
            free = free + 1
            answer[#answer + 1] = 'N' .. p .. string.format('%.0f', o) .. ';'
        end
        for _, other in ipairs(others) do
            local later = other[3] > o or other[3] == o and other[1] > lease
            if other[2] == p then
                local found = later and 'L' or new and 'E' or 'R'
                answer[#answer + 1] = found .. p .. string.format('%.0f', other[3]) .. '=' .. other[1] .. ';'
            end
        end
        if o > (mine[p] or 0) then mine[p] = o end
    end
    for p, o in pairs(mine) do
        value[#value + 1] = lease .. '=' .. p .. string.format('%.0f', o) .. ';'
    end
    if #value == 0 then redis.call('DEL', KEYS[i])
    else redis.call('SET', KEYS[i], table.concat(value), 'EX', ARGV[3]) end
    answers[i - 2] = table.concat(answer)
end
return answers
