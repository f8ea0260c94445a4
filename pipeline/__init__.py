"""A paper reproduced in four rooms: paper -> plan -> numerics -> runs. A file imports only from rooms to its left."""
