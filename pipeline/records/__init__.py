"""What lies in the store as JSON, as frozen dataclasses: written by `plain`, read and checked by `from_json`.
Their paths are in `store`; tensors, tables and pictures are not records."""
