"""Let an agent act for one end user: with the end user's connections, and within the limits of a policy."""
