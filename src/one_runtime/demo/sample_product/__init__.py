"""The demo's sample product has the name Fernhill: a page and a backend that use One Runtime."""
