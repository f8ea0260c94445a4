"""What lies in the store as JSON, as frozen dataclasses: written by `plain`, read and checked by `from_json`.
Where the objects lie is said in `store`; tensors, tables and pictures are not records."""
