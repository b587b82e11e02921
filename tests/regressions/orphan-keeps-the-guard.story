# A dead leader's orphans keep the guard long after their markers are stale: nobody takes over before they are gone.
expect says GuardBusy
expect says TakingOver

seed 1
trusted 1
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
+3000 kill-leaving-orphans leader 100000
+90000 announced-for-nothing 0 0
