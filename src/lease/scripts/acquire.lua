-- Takes the lease, or prolongs it if it is ours already.
-- KEYS: lease, epoch. ARGV: how our value begins, our value, time to live in ms.
-- Answers {1, epoch, 0} or {0, the holder's value, what is left of it in ms}.
local held = redis.call('GET', KEYS[1])
local ours = held and string.sub(held, 1, #ARGV[1]) == ARGV[1]
if held and not ours then
  return {0, held, redis.call('PTTL', KEYS[1])}
end
local epoch = redis.call('GET', KEYS[2])
if ours then
  -- First and alone if nothing else changes: it works even when there is no memory left for SET.
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
if held ~= ARGV[2] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return {1, epoch, 0}
