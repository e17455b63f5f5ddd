"""The demonstration: a network of three servers on one machine, with real processes, told as a story.

    narrative   what is shown, in order, and what must be true at each step
    network     the files and processes of that network: made, watched, ended
    clients     talking through the UNIX sockets, one request or sixty-four clients at once
    peer        a small real peer: lond's side of the link with a store in memory (a process of its own)
    screen      how it is printed

It may fail loudly, but it never leaves a process behind.
"""
