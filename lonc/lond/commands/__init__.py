"""What lond can be asked: one table, and what each of its rows does (lond.md 2).

model           what a row is, and what its handler is given
table           all rows, and how a line is carried out by them
fields          what the bytes of an argument may be
answers         how a handler answers
homes           who is at home here: home, log
accounts        auth, currentauth, passwd, makeuser, changeuserauth
passwords       how a password is hashed and verified
data            put, newput, inc, get, eget, del, keys
dumping         dump
records         store, restore
roles           rolesput, rolesdel, idput, idget
temporary       tmpput, tmpget, tmpdel
resources       sub, unsub, update, ls, stat
server          load, userload
administration  reinit, pushfile
listing         the table as doc/commands.md shows it
"""
