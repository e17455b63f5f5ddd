"""loncctl, the operator's tool: one module per verb, one table of verbs, one place that reads what is going on.

`main.py` turns the command line into the call of one verb, `verbs.py` is the table of verbs and what all of them
share, `output.py` is how anything is shown, `snapshot.py` reads lock, scoreboard, tables and directories without
stopping anyone. There is no control socket: actions are signals, lasting wishes lines of `logs/lonc.wanted`.
"""
