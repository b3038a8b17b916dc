"""Descriptions of invalid values, in words for callers."""
