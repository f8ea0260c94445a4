"""Copies all-photos/CLASS/FILE to photos/train/CLASS/FILE, and every fifth of a class to photos/val/CLASS/FILE."""

from pathlib import Path
from shutil import copy2

for folder in Path("all-photos").iterdir():
    for number, file in enumerate(sorted(folder.iterdir())):
        to = Path("photos", "train" if number % 5 else "val", folder.name)
        to.mkdir(parents=True, exist_ok=True)
        copy2(file, to)
