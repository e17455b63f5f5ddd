"""The demonstration: a network of three servers on one machine, with real processes, told as a story.

    narrative   what is shown, in order, and what must be true at each step
    network     the servers of that network together
    server      one server: its files, lonc and lond in it; made, watched, ended
    clients     talking through the UNIX sockets, one request or sixty-four clients at once
    staying     what `--stay` does
    screen      how it is printed

It may fail loudly, but it never leaves a process behind.
"""
