"""Build, draft and describe entries of the catalog. The server does not use these modules."""
