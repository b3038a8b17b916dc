"""Write logs, serve metrics and record traces."""
