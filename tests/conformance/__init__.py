"""The conformance suite: one case for each sentence of the protocol, against any lonc and any lond.

model           a case, the sections, what a case raises
tables          all cases, and how some are chosen
cipher          the suite's own key, IDEA and frames
wire            the suite's own line reader and writer
lonc_stage      the suite as lond and as clients, around a lonc
lond_stage      the suite as lonc, in front of a lond
runner, report  running the chosen cases, and telling what came of them
framing, dialogue, opening_faults, keys, frames, passing, clients, outages, limits, delays   cases for a lonc
lond_framing, lond_dialogue, lond_frames, lond_commands                           cases for a lond
wrong_lonc      a small lonc with faults that can be switched on, to prove that the suite finds them

Nothing here imports the program under test. How to run it: doc/conformance.md.
"""
