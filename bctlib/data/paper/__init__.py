"""The paper's own data sets, for those who hold them: layouts, lists, checks."""
