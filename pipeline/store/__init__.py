"""Objects by path in a folder or an S3 bucket: read, put, create once; and what lies where.
What the objects mean is said by the rooms that write them."""
