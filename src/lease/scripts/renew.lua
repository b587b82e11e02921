-- Prolongs the lease if it is ours, and never creates one.
-- KEYS: lease, epoch. ARGV: how our value begins, our value, time to live in ms, our epoch or 0.
-- Answers {1, epoch, 0} or {0, false, 0}.
local held = redis.call('GET', KEYS[1])
if not held or string.sub(held, 1, #ARGV[1]) ~= ARGV[1] then
  return {0, false, 0}
end
local epoch = redis.call('GET', KEYS[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
-- What follows is for others to read. That it cannot be written must not cost us the lease.
if held ~= ARGV[2] then
  redis.pcall('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
if tonumber(ARGV[4]) > (tonumber(epoch) or 0) then
  redis.pcall('SET', KEYS[2], ARGV[4])
  epoch = ARGV[4]
end
return {1, epoch, 0}
