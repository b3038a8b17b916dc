"""The playground: the product of an imaginary customer, Fernhill, as a page and a backend."""
