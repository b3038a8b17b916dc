"""The playground: the product of a made-up customer, Fernhill, as a page and the backend that serves it."""
