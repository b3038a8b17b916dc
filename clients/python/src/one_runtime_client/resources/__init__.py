"""Resources of the API: one file each, with the answers, the arguments and the operations."""
