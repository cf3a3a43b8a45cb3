"""The command line: targets of the paper, each made by running one notebook."""
