# Found P1 broken, without trust in the guard: v1 backs off after a timeout, Redis fails over to a copy that knows no
# lease, v2 gets it and begins, and v1 begins again before its next renewal. Breaks P1 without the look that follows a claim
# since c8c56b4.
expect #3 says WillRetry { step: StepId(0), end: TimedOut
expect incident: fail-over
expect #4 site@v2 begins
expect #3    -> Claim { step: StepId(0)
expect #3 <- Claimed(StepId(2))
expect #3    -> Retract(StepId(0)
expect #3 says Following

seed 383
trusted 0
lease 1
replicas 3
workers 0
attempts 100
lasts 30000
timeout 5000
bad 0
later 0
useless 0
stopping 1900
redis_wait 120000
ready_timeout 0
holds 0
refuses 0
+700 kill leader 0
+5789 volume-slow leader 0
+3500 volume-full 2 12100
+20000 roll-out 2 0
+36 fail-over leader 0
+2500 redis-down leader 0
