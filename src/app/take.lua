-- KEYS: the minute. ARGV: requests wanted, the most of the minute.
local left = tonumber(ARGV[2]) - tonumber(redis.call('HGET', KEYS[1], 'r') or '0')
if left <= 0 then return {0} end
local granted = math.min(tonumber(ARGV[1]), math.max(1, math.floor(left / 16)))
redis.call('HINCRBY', KEYS[1], 'r', granted)
redis.call('PEXPIRE', KEYS[1], 120000)
return {granted}
