# Found P1 broken, without trust in the guard: a step says "not yet", and Redis is emptied before it is tried again. Breaks
# P1 without the look that follows a claim since c8c56b4.
breaks bad-end-is-done P3
expect #1 says WillRetry { step: StepId(0), end: Own(Exit(75))
expect incident: redis-flushed
expect #4 site@v2 begins
expect #1    -> Claim { step: StepId(0)
expect #1    -> Retract(StepId(0)
expect #1 says Following

seed 3519
trusted 0
lease 1
replicas 2
workers 0
attempts 100
lasts 8000
timeout 0
bad 0
later 20
useless 0
stopping 1900
redis_wait 120000
ready_timeout 0
holds 0
refuses 0
+58 restart leader 0
+160 redis-down leader 21800
+13426 roll-out leader 0
+13238 redis-flushed 2 0
+200 go-back leader 0
