-- KEYS: holds, sums, minute, then day, week, month, whole.
-- ARGV: 1 now, 2 lapse, 3 replica, 4 minute, 5-8 spent by it, 9-12 by others at least, 13-16 kept for (ms),
--       17 hold asked for or '', 18 its cost, 19 its tokens, 20 tokens a minute, 21 at once, 22-25 budgets,
--       26 number of holds that are over, then each with the tokens used; the rest: holds to be renewed.
-- Gives back: 0, or which limit refuses: 1-4 a budget, 5 at once, 6 tokens; then what was known of this replica's
-- spending, and what the others have spent.
local holds, sums, minute = KEYS[1], KEYS[2], KEYS[3]
local now, lapse, me = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]

-- What may be refused for want of memory comes first, so that nothing is done by halves.
local function free(id, used)
  local data = redis.call('HGET', sums, id)
  if data then
    local cost, tokens, of = string.match(data, '^(%d+) (%d+) (%d+)$')
    redis.call('HINCRBY', sums, 'held', 0 - tonumber(cost))
    redis.call('HDEL', sums, id)
    if used >= 0 and of == ARGV[4] then
      redis.call('HINCRBY', minute, 't', used - tonumber(tokens))
      redis.call('PEXPIRE', minute, lapse)
    end
  end
  redis.call('ZREM', holds, id)
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', holds, '-inf', now)) do free(id, -1) end
local over = tonumber(ARGV[26])
for at = 27, 25 + 2 * over, 2 do free(ARGV[at], tonumber(ARGV[at + 1])) end
local renewed = 27 + 2 * over
for at = renewed, #ARGV do redis.call('ZADD', holds, 'XX', now + lapse, ARGV[at]) end
if #ARGV >= renewed then
  redis.call('PEXPIRE', holds, lapse)
  redis.call('PEXPIRE', sums, lapse)
end
local in_progress = redis.call('ZCARD', holds)
if in_progress == 0 then redis.call('DEL', sums) end

local said, spent = {0}, {}
for at = 1, 4 do
  local name, own = KEYS[3 + at], tonumber(ARGV[4 + at])
  local before = tonumber(redis.call('HGET', name, me) or '0')
  if own > before then
    redis.call('HINCRBY', name, 'total', own - before)
    redis.call('HSET', name, me, ARGV[4 + at])
  end
  redis.call('PEXPIRE', name, ARGV[12 + at])
  own = math.max(own, before)
  local others = tonumber(redis.call('HGET', name, 'total') or '0') - own
  others = math.max(others, tonumber(ARGV[8 + at]))
  said[1 + at], said[5 + at], spent[at] = before, others, own + others
end
if ARGV[17] == '' then return said end

local cost, tokens = tonumber(ARGV[18]), tonumber(ARGV[19])
local at_once, most = tonumber(ARGV[21]), tonumber(ARGV[20])
local used = tonumber(redis.call('HGET', minute, 't') or '0')
if at_once >= 0 and in_progress >= at_once then
  said[1] = 5
elseif most >= 0 and used > 0 and used + tokens > most then
  said[1] = 6
else
  local held = tonumber(redis.call('HGET', sums, 'held') or '0')
  for at = 4, 1, -1 do
    local limit = tonumber(ARGV[21 + at])
    local short = spent[at] + held + cost > limit
    if cost == 0 then short = spent[at] >= limit end
    if limit >= 0 and short then said[1] = at end
  end
end
if said[1] == 0 then
  redis.call('HINCRBY', sums, 'held', cost)
  redis.call('HSET', sums, ARGV[17], ARGV[18] .. ' ' .. ARGV[19] .. ' ' .. ARGV[4])
  redis.call('ZADD', holds, now + lapse, ARGV[17])
  redis.call('HINCRBY', minute, 't', tokens)
  for _, name in ipairs({holds, sums, minute}) do redis.call('PEXPIRE', name, lapse) end
end
return said
