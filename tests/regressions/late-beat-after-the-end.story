# Found a fault of the simulator: a beat may still be under way when its leadership is over.
expect incident: beats-late
expect #0 says LeaseLost
expect #0 a beat of site@v1 comes after its leadership
expect #1 says Leading(Epoch(2))

seed 2167
trusted 1
lease 1
replicas 2
workers 0
attempts 3
lasts 8000
timeout 0
bad 0
later 0
useless 0
stopping 1900
redis_wait 120000
ready_timeout 0
holds 0
refuses 0
+1800 beats-late leader 34500
+18600 fail-over 2 0
