"""What we will try: experiments, the studies that list them, and what is still missing.
Standard library only: nothing is trained and no store is read here."""
