# Found a fault of the simulator: a replica is warm by what its first look shows, not by what stands there when it starts.
expect GoingBack

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
