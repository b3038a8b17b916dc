"""Commands that build and inspect the catalog; not needed at run time."""
