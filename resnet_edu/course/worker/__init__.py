"""What runs inside the sandbox: a warden, a zygote, and for each submission a child.

The *warden* (``warden``) speaks with the grader: it reads one JSON request a line on standard input and writes one
JSON reply a line. It imports no torch and runs no student's code; it enforces time, memory and processes.

The *zygote* (``zygote``) imports torch once and forks a child for each submission. It is forked off before the first
request and reads none, so its heap, which every child inherits, holds no submission, no source and no hidden test.

The *child* (``runner``) reads one notebook and runs its cells in one namespace, as a kernel does. A test gets a copy
of the namespace, so that no test needs another one. ``values`` makes a test compare plain values, ``watching``
reports what no answer needs (frames, memory, code objects …) to the warden, ``state`` sets modes back between
questions, ``frontend`` answers the lines that only a notebook's front end understands, ``seccomp`` takes away system
calls for memory that no process owns.

A child's replies are signed with a key that the warden gave it. A child can still lie about its own tests, for they
run in its interpreter; it cannot reach anything else.
"""
