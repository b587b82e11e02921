# Found a fault of the simulator: a replica is warm by what its first look shows, not by what stands there when it starts.
# Here v1 is ready when #2 starts, is overtaken before #2 has looked, and so #2 has to ask Redis.
expect #2 starts, v1
expect #3 ends: HandOff
expect #2 says GoingBack { newest: Revision("v2") }
expect #2 says Leading(Epoch(3))
expect #2 ends: HandOff

seed 4517
trusted 1
lease 1
replicas 2
workers 0
attempts 3
lasts 200
timeout 0
bad 0
later 0
useless 0
stopping 1
redis_wait 2000
ready_timeout 0
holds 0
refuses 0
+100 volume-slow 3 22000
+0 go-back 1 0
+0 roll-out leader 0
+1400 replies-doubled 2 0
