"""The playground: the sample product Fernhill, a page and a backend that embed One Runtime."""
