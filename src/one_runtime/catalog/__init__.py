"""Describe integrations as data: how end users connect, and which requests One Runtime sends."""
