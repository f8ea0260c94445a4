"""Whether what a study rests on is what was written: every object is held against its digest, and damage is fixed as
far as nothing is lost by it."""
