# JupyterLab's settings; the words of `./reproduce.sh lab` override them. `c` is Jupyter's configuration.
# ruff: noqa: F821
from bctlib.base import locations

c.ServerApp.root_dir = str(locations.PROJECT)
c.LabApp.default_url = "/lab/tree/notebooks/README.md"
c.LabApp.news_url = None
