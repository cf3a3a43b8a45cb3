"""The ledger of the paper's claims: each statement, the test that decides it, and the verdict on our results.

`claim_list` is the list, `quantities` holds quantities and tests, `verdicts` the rule that decides, `ledger` the tables
and the text. The package reads committed results only and does not import torch.
"""
