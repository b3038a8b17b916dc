"""What happens to connections after they were made: checks, required reauthorization, lost keys, and their end."""
