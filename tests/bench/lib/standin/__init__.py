"""A stand-in for a Frappe bench and its database server: as quick as tests want it, and as hazardous as the real ones.

`server`, `sql`, `dbapi`: the database server is a directory.  `run`: phases, the trace, where to stop and to fail.
`place`: what a bench keeps in files.  `options`: the command line.  `commands`: what `bench` does.

It is started thousands of times, and the start is most of what it does: what few calls need is imported where they need it,
and what begins otherwise is not compared with a regular expression, which would have to be compiled.
"""
