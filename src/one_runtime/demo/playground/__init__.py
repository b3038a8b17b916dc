"""The playground is the demo's sample product, with the name Fernhill: a page and a backend that use One Runtime."""
