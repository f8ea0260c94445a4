"""What "Striving for Simplicity: The All Convolutional Net" (arXiv 1412.6806) says, as values.
Standard library only: no arrays, no store, and no choice of ours.

Table 1, Table 2     networks.py   (vocabulary in layers.py, shapes and counts in shapes.py)
Section 3.1          recipes.py
Table 3, Table 4     published_errors.py, table_4.py (the other methods of Table 4)
its conclusions      claims.py
what it leaves open  READING.md
"""
