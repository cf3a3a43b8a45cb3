"""JupyterLab as `./reproduce.sh lab` opens it: its settings and its first page."""
