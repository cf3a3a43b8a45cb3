"""What every part of bctlib may use: errors, files, progress, folders; nothing of the paper."""
