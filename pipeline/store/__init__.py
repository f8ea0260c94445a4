"""Objects by path in a folder or an S3 bucket: read, put, create once; and what lies where.
What an object means is defined by the room that writes it."""
