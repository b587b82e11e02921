# A step, and a daemon of its own (double fork, new session, no descriptor left), both deaf to TERM.
import os, signal, sys, time

SCRATCH = os.environ['E2E']

def journal(what):
    words = [what] + [os.environ['BELLWETHER_' + name] for name in ('STEP', 'REV', 'EPOCH')]
    line = ' '.join(words + [str(os.getpid()), str(time.time_ns())]) + '\n'
    file = os.open(os.path.join(SCRATCH, 'journal'), os.O_WRONLY | os.O_APPEND)
    os.write(file, line.encode())
    os.close(file)

signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 1024)
        journal('member')
        while True:
            signal.pause()
    os._exit(0)
os.wait()
journal('member')
print('deaf', flush=True)
while True:
    signal.pause()
