-- Removes the lease if it is ours, and announces in any case that there is something to look at.
-- KEYS: lease. ARGV: how our value begins, the channel, what is announced.
-- Answers {1, false, 0} if there was something to remove, else {0, false, 0}.
local held = redis.pcall('GET', KEYS[1])
local ours = type(held) == 'string' and string.sub(held, 1, #ARGV[1]) == ARGV[1]
if ours then
  redis.call('DEL', KEYS[1])
end
-- Who may not publish has released all the same.
redis.pcall('PUBLISH', ARGV[2], ARGV[3])
return {ours and 1 or 0, false, 0}
