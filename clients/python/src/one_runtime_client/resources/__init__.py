"""Resources of the API. The file of a resource contains its results, arguments and operations."""
