"""Operations that agents can call: data, search index, and the conversion of arguments into a request."""
