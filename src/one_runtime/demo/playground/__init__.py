"""The playground: page and backend of the sample product Fernhill, which embeds One Runtime."""
