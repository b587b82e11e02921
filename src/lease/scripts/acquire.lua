-- Takes the lease, or prolongs it if it is ours already. Another's is shortened to what its holder asks for at a time, if it
-- would last longer: the server's clock was put back, or it was copied to a server whose clock is behind.
-- KEYS: lease, epoch. ARGV: how our value begins, our value, time to live in ms.
-- Answers {1, epoch, 0} or {0, the holder's value, what is left of it in ms}.
local held = redis.call('GET', KEYS[1])
local ours = held and string.sub(held, 1, #ARGV[1]) == ARGV[1]
if held and not ours then
  local left = redis.call('PTTL', KEYS[1])
  local asked = tonumber(string.match(held, '"ttl_ms":(%d+)'))
  if asked and left > asked then
    redis.call('PEXPIRE', KEYS[1], asked)
    left = asked
  end
  return {0, held, left}
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
