"""Tools for the annotated spans: check, count, split, compare annotators, and exchange with annotation tools."""
