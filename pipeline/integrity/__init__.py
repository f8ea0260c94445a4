"""Whether what a study rests on is what was written: every object is compared with its digest, and damage is fixed as
far as that loses nothing."""
