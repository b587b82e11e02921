# Without trust in the guard: the leader freezes for longer than its lease, another takes over, and the leader that thaws
# with the good end of its step finds its claim gone.
breaks epoch-not-compared P3
breaks staleness-by-remote-clock P5
expect #0 frozen
expect #0 site@v1 ends well
expect #1 says TakingOver { step: StepId(0), from: [Epoch(1)] }
expect #1 site@v1 ends well
expect #0 thawed
expect #0 <- CommitLost(StepId(0))

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
