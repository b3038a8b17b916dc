"""The life of a connection after it was made: checks, required reauthorization, lost keys, and its end."""
