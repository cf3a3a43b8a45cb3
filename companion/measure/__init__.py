"""What is measured for the paper's tables and figures, one file a protocol."""
