"""What "Striving for Simplicity: The All Convolutional Net" (arXiv 1412.6806) says, as values. Standard library only.

Table 1, Table 2     networks.py   (vocabulary in layers.py, shapes and counts in shapes.py)
Section 3.1          recipes.py
Table 3, Table 4     claims.py, neighbours.py (the other methods of Table 4)
what it concludes    statements.py
what is unclear      READING.md
"""
