"""The commands of ./reproduce.sh: targets of the paper, each made by one notebook."""
