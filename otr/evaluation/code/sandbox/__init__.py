"""Runs code nobody vouches for, and asks evalplus whether it is right.

    sandbox.py      trusted      starts a confined Python and proves that it is confined
    worker.py       untrusted    inside: loads one solution, answers calls to its function
    confinement.py  untrusted    inside, before the solution is loaded: root, limits, forbidden system calls
    channel.py, values.py        how the two talk: framed JSON, plain values alone
    proxy.py        trusted      a function that evalplus can call and that forwards to the worker
    ../verdicts.py  trusted      evalplus's checks of one problem's solutions, problems in parallel

Code in the checker's own process could walk its frames and write the verdict itself; so it is never there.
"""
