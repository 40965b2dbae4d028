"""The rules of counting, pure: events, money, festivals, rollups, duplicates, and the ledger of one partition.

Values in, values out: no IO, no clock, no randomness, so the same records always give the same ledger. `facts` says
what is admitted, `rollups` what is kept, `ledger` counts; `pages` is the form in which it is written.
"""
