"""The ledger of the paper's claims: each statement, the test that decides it, and the verdict here.

`claim_list` is the list, `quantities` holds quantities and tests, `ledger` the verdict rule, the tables and the text.
All of it reads committed results only and imports no torch.
"""
