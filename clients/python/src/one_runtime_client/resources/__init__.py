"""Define the client's resources (groups of operations of the API). Each module defines one resource."""
