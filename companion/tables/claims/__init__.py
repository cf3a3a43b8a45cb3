"""The ledger of the paper's claims: what it states, the test that decides each statement, and the verdict here.

`claim_list` is the list, `comparisons` the few tests, `verdicts` the one rule, `ledger` the tables and the text. All of
it reads committed results only and imports no torch.
"""
