# Found P1 broken, without trust in the guard: the leader cannot reach Redis, which has forgotten it, and backs off while
# a later revision begins. Breaks P1 without the look that follows a claim since c8c56b4.
expect #6 reaches Redis: false, hears it: true
expect #6 says WillRetry { step: StepId(0)
expect #6 <- LeaseUnreachable
expect #7 site@v3 begins
expect #6    -> Claim { step: StepId(0)
expect #6 <- Claimed(StepId(0))
expect #6    -> Retract(StepId(0)
expect #7 migrate@v3 begins

seed 1696
trusted 0
lease 1
replicas 4
workers 1
attempts 100
lasts 2000
timeout 0
bad 30
later 0
useless 0
stopping 1
redis_wait 2000
ready_timeout 0
holds 0
refuses 0
+1863 roll-out 3 0
+0 upgrade 2 0
+36 kill 2 0
+0 fail-over 0 0
+5180 roll-out 1 0
+8400 cut-requests leader 2200
+0 redis-flushed 3 0
+2000 expiry-jumps-back 3 0
