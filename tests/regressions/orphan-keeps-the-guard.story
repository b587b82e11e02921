# A dead leader's orphans keep the guard long after their markers are stale: nobody takes over before they are gone.
breaks guard-not-taken P1
breaks guard-not-inherited P1
expect #0 killed
expect #1 says GuardBusy
expect #0 site@v1 ends badly
expect #1 says TakingOver { step: StepId(0), from: [Epoch(1)] }
expect #1 site@v1 begins

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
