//! What the server's relations, columns, views and functions are: the ground that names are resolved on.
