# Without trust in the guard: the leader freezes for longer than its lease, its shims stop the steps, another takes over,
# and the leader that thaws finds its claims gone.
expect frozen
expect thawed
expect says TakingOver

seed 1
trusted 0
lease 1
replicas 3
workers 0
attempts 100
lasts 30000
timeout 0
bad 0
later 0
useless 0
stopping 50
redis_wait 120000
ready_timeout 0
holds 0
refuses 0
+2000 freeze leader 39000
+100 redis-flushed 0 0
+60000 announced-for-nothing 0 0
